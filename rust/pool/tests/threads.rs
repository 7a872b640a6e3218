//! Frames made on one thread, read and dropped on others: for `ThreadSanitizer` and Miri as well.

mod support;

use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use pybridge_pool::{Pool, PoolConfig};
use support::{content, frames, sealed, sized, tight, write};

const TURNS: usize = sized(3000, 40);
const SIZES: [usize; 8] = [0, 3, 50, 700, 90, 1900, 2500, 9];

fn expected(turn: usize) -> Vec<Vec<u8>> {
    (0..=turn % 12).map(|n| content(SIZES[(turn + n) % SIZES.len()], turn + n)).collect()
}

fn producer(pool: &Pool, consumers: &[mpsc::SyncSender<(usize, Vec<Bytes>)>]) {
    let mut writer = pool.writer();
    for turn in 0..TURNS {
        for frame in expected(turn) {
            write(&mut writer, &frame);
        }
        let frames = frames(&mut sealed(&mut writer));
        for consumer in consumers {
            consumer.send((turn, frames.clone())).unwrap();
        }
    }
}

#[test]
fn a_writer_goes_on_behind_what_another_thread_sealed() {
    let pool = Pool::new(tight()).unwrap();
    let writer = Mutex::new(pool.writer());
    let (sender, receiver) = mpsc::channel::<Vec<Bytes>>();
    let wanted: Vec<_> = (0..TURNS).map(|turn| content(SIZES[turn % SIZES.len()], turn)).collect();
    thread::scope(|scope| {
        for every in [1, 7] {
            let (writer, sender, wanted) = (&writer, sender.clone(), &wanted);
            scope.spawn(move || {
                for (turn, frame) in wanted.iter().enumerate() {
                    let mut writer = writer.lock().unwrap();
                    if every == 1 {
                        write(&mut writer, frame);
                    } else if turn.is_multiple_of(every) {
                        sender.send(frames(&mut sealed(&mut writer))).unwrap();
                    }
                }
            });
        }
    });
    sender.send(frames(&mut sealed(&mut writer.into_inner().unwrap()))).unwrap();
    drop(sender);
    assert_eq!(receiver.into_iter().flatten().collect::<Vec<_>>(), wanted);
    assert_eq!(pool.stats().live_bytes, 0);
}

#[test]
fn every_consumer_reads_what_the_producer_wrote_while_segments_are_reused() {
    let pool = Pool::new(tight().zero_on_reuse(true)).unwrap();
    thread::scope(|scope| {
        let mut senders = Vec::new();
        for lag in [1, 20] {
            let (sender, receiver) = mpsc::sync_channel::<(usize, Vec<Bytes>)>(lag);
            senders.push(sender);
            scope.spawn(move || {
                let mut kept: Vec<(Bytes, Vec<u8>)> = Vec::new();
                for (turn, found) in receiver {
                    let wanted = expected(turn);
                    assert_eq!(found, wanted);
                    kept.extend(found.into_iter().zip(wanted).take(1));
                    if kept.len() > lag {
                        let (bytes, content) = kept.swap_remove(turn % lag);
                        assert_eq!(bytes, content);
                    }
                }
            });
        }
        let pool = &pool;
        scope.spawn(move || producer(pool, &senders));
        let start = Instant::now();
        for second in 0..20 {
            pool.tick(start + Duration::from_secs(second));
            pool.trim();
            assert!(pool.stats().parked_bytes <= 544 << 10);
        }
    });
    pool.trim();
    let stats = pool.stats();
    assert_eq!((stats.live_bytes, stats.held_bytes, stats.parked_bytes), (0, 0, 0));
}

#[test]
fn writer_and_pool_may_go_while_consumers_still_read() {
    for round in 0..TURNS / 10 {
        let pool = Pool::new(tight()).unwrap();
        let mut writer = pool.writer();
        let mut readers = Vec::new();
        for turn in 1..4 {
            for frame in expected(turn) {
                write(&mut writer, &frame);
            }
            let mut batches = sealed(&mut writer);
            readers.push(thread::spawn(move || {
                assert_eq!(frames(&mut batches), expected(turn));
                drop(batches);
            }));
        }
        if round % 2 == 0 {
            drop((pool, writer));
        } else {
            drop((writer, pool));
        }
        for reader in readers {
            reader.join().unwrap();
        }
    }
}

#[test]
fn bodies_and_large_frames_come_home_from_any_thread() {
    let pool = Pool::new(PoolConfig::default().max_live_bytes(64 << 20)).unwrap();
    let mut readers = Vec::new();
    for round in 0..TURNS / 20 {
        let body = content(40_000 + round, round);
        let inbound = pool.inbound(&body).unwrap();
        readers.push(thread::spawn(move || assert_eq!(inbound, body)));
    }
    for reader in readers {
        reader.join().unwrap();
    }
    let stats = pool.stats();
    assert_eq!((stats.held_bytes, stats.classes[0].live), (0, 0));
    assert!(stats.parked_bytes > 0);
}
