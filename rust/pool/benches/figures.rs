//! The crate's figures as ratios: lanes interleaved in one run, medians over rounds with their spread.
//!
//! `cargo bench -p pybridge-pool --bench figures` measures all and writes `bench/results/pool.md` and `.json`;
//! with names of parts (`puts`, `small`, `cross`, `large`) behind `--` it only prints those.

#![allow(missing_docs, clippy::print_stdout, reason = "a report on standard output is this program's purpose")]
#![allow(unsafe_code, reason = "mallopt")]

use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use crossbeam_queue::ArrayQueue;
use opool::PoolAllocator;
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

/// What one lane came to, in nanoseconds per operation.
struct Row {
    lane: &'static str,
    best: f64,
    median: f64,
    /// Between the quartiles, as a part of the median.
    spread: f64,
    ratio: f64,
}

type Measure = fn() -> Part;

struct Part {
    title: &'static str,
    rows: Vec<Row>,
}

impl Part {
    fn median(&self, lane: &str) -> f64 {
        self.rows.iter().find(|row| row.lane == lane).map_or(f64::NAN, |row| row.median)
    }
}

/// Runs the lanes in turn; ratios are to the lane `base`.
fn report(title: &'static str, operations: usize, base: usize, mut lanes: Vec<Lane<'_>>) -> Part {
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
    println!("\n{title}\n{:<54} {:>10} {:>10} {:>7} {:>7}", "lane", "best ns", "median ns", "spread", "ratio");
    let mut rows = Vec::new();
    for (lane, column) in lanes.iter().zip(&times) {
        let (lane, best, median) = (lane.name, column[0], middle(column));
        let spread = (column[column.len() * 3 / 4] - column[column.len() / 4]) / median;
        let ratio = median / middle(&times[base]);
        println!("{lane:<54} {best:>10.1} {median:>10.1} {spread:>7.2} {ratio:>7.2}");
        rows.push(Row { lane, best, median, spread, ratio });
    }
    Part { title, rows }
}

/// From which size on malloc maps: pinned, or where it drifts to by itself under such a load.
fn map_from(bytes: i32) {
    #[cfg(target_env = "gnu")]
    // SAFETY: sets two parameters of malloc; other threads may allocate meanwhile.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, bytes);
        libc::mallopt(libc::M_TRIM_THRESHOLD, bytes.saturating_mul(2));
    }
    #[cfg(not(target_env = "gnu"))]
    let _ = bytes;
}

const PINNED: i32 = 128 << 10;
const DRIFTED: i32 = 32 << 20;

struct Buffers(usize);

impl PoolAllocator<Vec<u8>> for Buffers {
    fn allocate(&self) -> Vec<u8> {
        Vec::with_capacity(self.0)
    }

    fn reset(&self, buffer: &mut Vec<u8>) {
        buffer.clear();
    }
}

fn timed(act: impl FnOnce()) -> Duration {
    let start = Instant::now();
    act();
    start.elapsed()
}

fn pool(max_parked: usize) -> Pool {
    let config = PoolConfig::default().large_parked_bytes(max_parked);
    Pool::new(config).expect("a valid configuration")
}

fn frame(writer: &mut Writer, payload: &[u8]) {
    writer.begin(0);
    writer.put(black_box(payload));
    writer.commit();
}

fn small_frames_on_one_thread() -> Part {
    const N: usize = 64 * 512;
    let payload = [7_u8; FRAME];
    let pool = pool(0);
    let mut room = vec![0_u8; 64 << 10];
    let mut by_one = pool.writer();
    let mut by_16 = pool.writer();
    let mut by_64 = pool.writer();
    let mut segment = BytesMut::with_capacity(64 << 10);
    let queue = ArrayQueue::new(64);
    let objects = opool::Pool::new(64, Buffers(FRAME));
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
            lane("malloc: Vec, drop", || timed(|| (0..N).for_each(|_| drop(black_box(black_box(&payload).to_vec()))))),
            lane("ArrayQueue of Vec: pop, fill, push", || {
                timed(|| {
                    for _ in 0..N {
                        let mut buffer: Vec<u8> = queue.pop().unwrap_or_else(|| Vec::with_capacity(FRAME));
                        buffer.clear();
                        buffer.extend_from_slice(black_box(&payload));
                        drop(queue.push(black_box(buffer)));
                    }
                })
            }),
            lane("opool of Vec: get, fill, drop", || {
                timed(|| {
                    for _ in 0..N {
                        let mut buffer = objects.get();
                        buffer.extend_from_slice(black_box(&payload));
                        drop(black_box(buffer));
                    }
                })
            }),
        ],
    )
}

/// One producer, one dropping thread; the producer's time per frame, hand-over in groups of 64 included.
fn drops_on_another_thread() -> Part {
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
        )
    })
}

fn large_buffers() -> Part {
    const N: usize = 32;
    let payload = vec![7_u8; MIB];
    let mut room = vec![1_u8; MIB];
    let objects = opool::Pool::new(8, Buffers(MIB));
    let mut whole = BytesMut::with_capacity(MIB);
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
            lane("malloc with its threshold pinned at 128 KiB: Bytes", || {
                map_from(PINNED);
                let time = timed(|| {
                    (0..N).for_each(|_| drop(black_box(Bytes::copy_from_slice(black_box(&payload)))));
                });
                map_from(DRIFTED);
                time
            }),
            lane("malloc with its threshold drifted: Bytes", || {
                timed(|| {
                    (0..N).for_each(|_| drop(black_box(Bytes::copy_from_slice(black_box(&payload)))));
                })
            }),
            lane("BytesMut: put, split, freeze, drop, reclaim", || {
                timed(|| {
                    for _ in 0..N {
                        if whole.capacity() < MIB && !whole.try_reclaim(MIB) {
                            whole = BytesMut::with_capacity(MIB);
                        }
                        whole.put_slice(black_box(&payload));
                        drop(black_box(whole.split().freeze()));
                    }
                })
            }),
            lane("opool of Vec: get, fill, drop", || {
                timed(|| {
                    for _ in 0..N {
                        let mut buffer = objects.get();
                        buffer.extend_from_slice(black_box(&payload));
                        drop(black_box(buffer));
                    }
                })
            }),
        ],
    )
}

/// What an encoder does: ten short strings a frame.
fn puts() -> Part {
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
    )
}

/// One figure to reach: what was measured, and its bound.
struct Figure {
    name: &'static str,
    value: f64,
    bound: f64,
    at_most: bool,
}

impl Figure {
    fn line(&self) -> (&'static str, bool) {
        let reached = if self.at_most { self.value <= self.bound } else { self.value >= self.bound };
        (if self.at_most { "<=" } else { ">=" }, reached)
    }
}

/// What a thousand stalled streams with a frame of 50 bytes each pin beside a fast one, at most, as a part of what they
/// may: 8 MiB and four times the live bytes.
fn pinned_by_stalled_streams() -> f64 {
    let pool = pool(0);
    let mut writer = pool.writer();
    let mut stalled: Vec<Batch> = Vec::new();
    let mut worst = 0.0_f64;
    for _ in 0..1000 {
        frame(&mut writer, &[1; 50]);
        writer.seal(|batch| stalled.push(batch));
        (0..64).for_each(|_| frame(&mut writer, &[2; 1000]));
        writer.seal(drop);
        if pool.over_pinned() {
            for batch in stalled.iter_mut().filter(|batch| batch.is_shared()).take(32) {
                pool.unpin(batch);
            }
        }
        let stats = pool.stats();
        worst = worst.max(stats.pinned_bytes as f64 / (8 * MIB + 4 * stats.live_bytes) as f64);
    }
    worst
}

fn figures(small: &Part, cross: &Part, large: &Part) -> [Figure; 6] {
    let over = |lane| small.median(lane) - small.median(FILL);
    let hit = large.median("pool, parked hit");
    [
        Figure { name: "small frame over its fill, sealed by 64, ns", value: over(BY_64), bound: 30.0, at_most: true },
        Figure { name: "small frame over its fill, sealed by 16, ns", value: over(BY_16), bound: 30.0, at_most: true },
        Figure {
            name: "producer's time, drops on another thread, against malloc",
            value: cross.median(BY_64) / cross.median("malloc: Bytes::copy_from_slice"),
            bound: 0.35,
            at_most: true,
        },
        Figure {
            name: "1 MiB hit against a warm memcpy",
            value: hit / large.median("memcpy into a warm buffer"),
            bound: 1.3,
            at_most: true,
        },
        Figure {
            name: "malloc with a pinned threshold against the 1 MiB hit",
            value: large.median("malloc with its threshold pinned at 128 KiB: Bytes") / hit,
            bound: 3.0,
            at_most: false,
        },
        Figure {
            name: "pinned by 1,000 stalled streams, against 8 MiB + 4 x live",
            value: pinned_by_stalled_streams(),
            bound: 1.0,
            at_most: true,
        },
    ]
}

const FILL: &str = "fill alone (copy into a warm 64 KiB buffer)";
const BY_16: &str = "pool, sealed by 16";
const BY_64: &str = "pool, sealed by 64";
const COMMAND: &str = "cargo bench -p pybridge-pool --bench figures";

/// Writes the figures and all lanes to `bench/results/pool.{md,json}`.
fn write_results(figures: &[Figure], parts: &[Part]) -> Result<(), Box<dyn std::error::Error>> {
    let mut text = format!("# The pool's figures\n\n`{COMMAND}`: lanes interleaved, medians of {ROUNDS} rounds; ");
    text += "spread is between the quartiles, as a part of the median.\n\n| figure | value | bound | reached |\n";
    text += "| --- | ---: | ---: | --- |\n";
    let mut json = format!("{{\n  \"schema\": 1,\n  \"command\": \"{COMMAND}\",\n  \"figures\": [");
    for (index, figure) in figures.iter().enumerate() {
        let (sign, reached) = figure.line();
        let yes = if reached { "yes" } else { "no" };
        writeln!(text, "| {} | {:.2} | {sign} {} | {yes} |", figure.name, figure.value, figure.bound)?;
        let comma = if index == 0 { "" } else { "," };
        write!(
            json,
            "{comma}\n    {{\"name\": \"{}\", \"value\": {:.3}, \"bound\": {}, \"at_most\": {}, \"reached\": {reached}}}",
            figure.name, figure.value, figure.bound, figure.at_most
        )?;
    }
    text += "\nAllocations are counted by a test, `cargo test -p pybridge-pool --test allocations`, with one writer and with ";
    text += "several\non threads: none for a frame, at most one for a batch.\n";
    json += "\n  ],\n  \"rows\": [";
    let mut comma = "";
    for Part { title, rows } in parts {
        write!(text, "\n## {title}\n\n| lane | best ns | median ns | spread | ratio |\n")?;
        text += "| --- | ---: | ---: | ---: | ---: |\n";
        for Row { lane, best, median, spread, ratio } in rows {
            writeln!(text, "| {lane} | {best:.1} | {median:.1} | {spread:.2} | {ratio:.2} |")?;
            write!(
                json,
                "{comma}\n    {{\"part\": \"{title}\", \"lane\": \"{lane}\", \"best_ns\": {best:.2}, \"median_ns\": {median:.2}, \"spread\": {spread:.3}, \"ratio\": {ratio:.3}}}"
            )?;
            comma = ",";
        }
    }
    json += "\n  ]\n}\n";
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bench/results");
    fs::write(results.join("pool.md"), text)?;
    fs::write(results.join("pool.json"), json)?;
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    map_from(DRIFTED);
    let parts: [(&str, Measure); 4] = [
        ("puts", puts),
        ("small", small_frames_on_one_thread),
        ("cross", drops_on_another_thread),
        ("large", large_buffers),
    ];
    let wanted: Vec<_> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let chosen = parts.iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|arg| arg == name));
    let measured: Vec<_> = chosen.map(|(_, part)| part()).collect();
    if let [_, small, cross, large] = &measured[..] {
        let figures = figures(small, cross, large);
        println!();
        for figure in &figures {
            let (sign, reached) = figure.line();
            println!("{:<58} {:>7.2} {sign} {:<5} {reached}", figure.name, figure.value, figure.bound);
        }
        write_results(&figures, &measured)?;
    }
    Ok(())
}
