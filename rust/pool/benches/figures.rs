//! The crate's figures as ratios: lanes interleaved in one run, medians over rounds.
//!
//! `cargo bench -p pybridge-pool --bench figures`

#![allow(missing_docs, clippy::print_stdout, reason = "a report on standard output is this program's purpose")]

use std::hint::black_box;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use crossbeam_queue::ArrayQueue;
use pybridge_pool::{Batch, Pool, PoolConfig, Writer};

const FRAME: usize = 512;
const ROUNDS: usize = 31;
const MIB: usize = 1 << 20;

struct Lane<'a> {
    name: &'static str,
    run: Box<dyn FnMut() -> Duration + 'a>,
}

fn lane<'a>(name: &'static str, run: impl FnMut() -> Duration + 'a) -> Lane<'a> {
    Lane { name, run: Box::new(run) }
}

/// Runs the lanes in turn and prints nanoseconds per operation and the ratio to the lane `base`.
fn report(title: &str, operations: usize, base: usize, mut lanes: Vec<Lane<'_>>) {
    let mut times = vec![Vec::new(); lanes.len()];
    for round in 0..=ROUNDS {
        for (lane, times) in lanes.iter_mut().zip(&mut times) {
            let time = (lane.run)();
            if round > 0 {
                times.push(time.as_nanos() as f64 / operations as f64);
            }
        }
    }
    for times in &mut times {
        times.sort_by(f64::total_cmp);
    }
    let middle = |times: &[f64]| times[times.len() / 2];
    println!("\n{title}\n{:<52} {:>10} {:>10} {:>8}", "lane", "best ns", "median ns", "ratio");
    for (lane, column) in lanes.iter().zip(&times) {
        let ratio = middle(column) / middle(&times[base]);
        println!("{:<52} {:>10.1} {:>10.1} {:>8.2}", lane.name, column[0], middle(column), ratio);
    }
}

fn timed(act: impl FnOnce()) -> Duration {
    let start = Instant::now();
    act();
    start.elapsed()
}

fn pool(max_parked: usize) -> Pool {
    let config = PoolConfig { large_parked_bytes: max_parked, ..PoolConfig::default() };
    Pool::new(config).expect("a valid configuration")
}

fn frame(writer: &mut Writer, payload: &[u8]) {
    writer.begin(0);
    writer.put(black_box(payload));
    writer.commit();
}

fn small_frames_on_one_thread() {
    const N: usize = 64 * 512;
    let payload = [7_u8; FRAME];
    let pool = pool(0);
    let mut room = vec![0_u8; 64 << 10];
    let mut by_one = pool.writer();
    let mut by_16 = pool.writer();
    let mut by_64 = pool.writer();
    let mut segment = BytesMut::with_capacity(64 << 10);
    let pooled = |writer: &mut Writer, batch: usize| {
        timed(|| {
            for _ in 0..N / batch {
                (0..batch).for_each(|_| frame(writer, &payload));
                writer.seal(|mut batch| {
                    for index in 0..batch.frames() {
                        drop(black_box(batch.frame(index)));
                    }
                });
            }
        })
    };
    report(
        "512 B frame: take, fill, seal, slice, drop, reclaim on one thread; per frame",
        N,
        0,
        vec![
            lane("fill alone (copy into a warm 64 KiB buffer)", || {
                timed(|| {
                    for n in 0..N {
                        let at = (n * FRAME) & 0xFFFF;
                        room[at..at + FRAME].copy_from_slice(black_box(&payload));
                        black_box(&room);
                    }
                })
            }),
            lane("pool, sealed by 1", || pooled(&mut by_one, 1)),
            lane("pool, sealed by 16", || pooled(&mut by_16, 16)),
            lane("pool, sealed by 64", || pooled(&mut by_64, 64)),
            lane("BytesMut: put, split, freeze, drop, reclaim", || {
                timed(|| {
                    for _ in 0..N {
                        if segment.capacity() < FRAME && !segment.try_reclaim(64 << 10) {
                            segment = BytesMut::with_capacity(64 << 10);
                        }
                        segment.put_slice(black_box(&payload));
                        drop(black_box(segment.split().freeze()));
                    }
                })
            }),
            lane("malloc: Bytes::copy_from_slice, drop", || {
                timed(|| {
                    (0..N).for_each(|_| drop(black_box(Bytes::copy_from_slice(black_box(&payload)))));
                })
            }),
        ],
    );
}

/// One producer, one dropping thread; the producer's time per frame, hand-over in groups of 64 included.
fn drops_on_another_thread() {
    const N: usize = 64 * 512;
    const GROUP: usize = 64;
    let payload = [7_u8; FRAME];
    let pool = pool(0);
    let (mut writer, mut single) = (pool.writer(), pool.writer());
    let recycled: &ArrayQueue<Vec<u8>> = &ArrayQueue::new(4096);
    thread::scope(|scope| {
        let (batches, incoming) = mpsc::sync_channel::<Vec<Batch>>(64);
        scope.spawn(move || incoming.iter().for_each(drop));
        let (frames, incoming) = mpsc::sync_channel::<Vec<Bytes>>(64);
        scope.spawn(move || incoming.iter().for_each(drop));
        let (vecs, incoming) = mpsc::sync_channel::<Vec<Vec<u8>>>(64);
        scope.spawn(move || incoming.iter().for_each(drop));
        let (pooled, incoming) = mpsc::sync_channel::<Vec<Vec<u8>>>(64);
        scope.spawn(move || {
            for vec in incoming.iter().flatten() {
                drop(recycled.push(vec));
            }
        });
        let mut held = Vec::with_capacity(GROUP);
        let mut slices = move |writer: &mut Writer, per_batch: usize| {
            timed(|| {
                for _ in 0..N / GROUP {
                    for _ in 0..GROUP / per_batch {
                        (0..per_batch).for_each(|_| frame(writer, &payload));
                        writer.seal(|batch| held.push(batch));
                    }
                    batches.send(std::mem::take(&mut held)).expect("the consumer lives");
                }
            })
        };
        let slices = std::cell::RefCell::new(&mut slices);
        report(
            "512 B frame, dropped on another thread; the producer's time per frame",
            N,
            3,
            vec![
                lane("pool, sealed by 64", || (slices.borrow_mut())(&mut writer, 64)),
                lane("pool, sealed by 1", || (slices.borrow_mut())(&mut single, 1)),
                lane("malloc: Vec", || {
                    timed(|| {
                        for _ in 0..N / GROUP {
                            let group = (0..GROUP).map(|_| black_box(&payload).to_vec()).collect();
                            vecs.send(group).expect("the consumer lives");
                        }
                    })
                }),
                lane("malloc: Bytes::copy_from_slice", || {
                    timed(|| {
                        for _ in 0..N / GROUP {
                            let group = (0..GROUP).map(|_| Bytes::copy_from_slice(black_box(&payload))).collect();
                            frames.send(group).expect("the consumer lives");
                        }
                    })
                }),
                lane("ArrayQueue of Vec", || {
                    timed(|| {
                        for _ in 0..N / GROUP {
                            let group = (0..GROUP).map(|_| {
                                let mut vec = recycled.pop().unwrap_or_else(|| Vec::with_capacity(FRAME));
                                vec.clear();
                                vec.extend_from_slice(black_box(&payload));
                                vec
                            });
                            pooled.send(group.collect()).expect("the consumer lives");
                        }
                    })
                }),
            ],
        );
    });
}

fn large_buffers() {
    const N: usize = 32;
    let payload = vec![7_u8; MIB];
    let mut room = vec![1_u8; MIB];
    let hits = pool(32 << 20);
    let misses = pool(0);
    let acquire = |pool: &Pool| {
        timed(|| {
            for _ in 0..N {
                let mut buffer = pool.acquire(MIB);
                buffer.put(black_box(&payload));
                drop(black_box(buffer.freeze()));
            }
        })
    };
    report(
        "1 MiB buffer: acquire, fill, freeze, drop; per buffer",
        N,
        0,
        vec![
            lane("memcpy into a warm buffer", || {
                timed(|| {
                    for _ in 0..N {
                        room.copy_from_slice(black_box(&payload));
                        black_box(&room);
                    }
                })
            }),
            lane("pool, parked hit", || acquire(&hits)),
            lane("pool, miss (nothing may park)", || acquire(&misses)),
            lane("malloc: Bytes::copy_from_slice", || {
                timed(|| {
                    (0..N).for_each(|_| drop(black_box(Bytes::copy_from_slice(black_box(&payload)))));
                })
            }),
        ],
    );
}

/// What an encoder does: ten short strings a frame.
fn puts() {
    const N: usize = 64 * 512;
    let words: [&[u8]; 10] = [
        b"\x83",
        b"\xa5token",
        b"\xa5",
        b"hello",
        b"\xa5index",
        b"\x07",
        b"\xa6finish",
        b"\xc0",
        b"\xa4text",
        b"abcdefghijklmnop",
    ];
    let pool = pool(0);
    let mut writer = pool.writer();
    let mut vec: Vec<u8> = Vec::with_capacity(64 << 10);
    let mut bytes = BytesMut::with_capacity(64 << 10);
    report(
        "frame of ten puts of 1-16 bytes (64 frames a batch); per frame",
        N,
        0,
        vec![
            lane("Vec::extend_from_slice, cleared every 64", || {
                timed(|| {
                    for n in 0..N {
                        if n % 64 == 0 {
                            vec.clear();
                        }
                        for word in black_box(&words) {
                            vec.extend_from_slice(word);
                        }
                    }
                    black_box(&vec);
                })
            }),
            lane("BytesMut::extend_from_slice, cleared every 64", || {
                timed(|| {
                    for n in 0..N {
                        if n % 64 == 0 {
                            bytes.clear();
                        }
                        for word in black_box(&words) {
                            bytes.extend_from_slice(word);
                        }
                    }
                    black_box(&bytes);
                })
            }),
            lane("Writer: begin, put, commit; sealed and dropped by 64", || {
                timed(|| {
                    for n in 0..N {
                        writer.begin(0);
                        for word in black_box(&words) {
                            writer.put(word);
                        }
                        writer.commit();
                        if n % 64 == 63 {
                            writer.seal(drop);
                        }
                    }
                })
            }),
        ],
    );
}

fn main() {
    let parts: [(&str, fn()); 4] = [
        ("puts", puts),
        ("small", small_frames_on_one_thread),
        ("cross", drops_on_another_thread),
        ("large", large_buffers),
    ];
    let wanted: Vec<_> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    for (name, part) in parts {
        if wanted.is_empty() || wanted.iter().any(|arg| arg == name) {
            part();
        }
    }
}
