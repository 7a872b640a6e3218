//! Models of what is handed between threads: loom checks every interleaving.
//!
//! `RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=3 CARGO_TARGET_DIR=target/loom
//!  cargo test -p pybridge-pool --release --lib models`

use std::time::{Duration, Instant};

use bytes::Bytes;
use loom::model;
use loom::thread;

use crate::segment::Segment;
use crate::{Batch, Pool, PoolConfig, PoolError};

const LARGE: usize = 64 << 10;

fn pool(large_parked_bytes: usize) -> Pool {
    let config = PoolConfig {
        segment_bytes: 4 << 10,
        small_parked_bytes: 8 << 10,
        large_parked_bytes,
        max_live_bytes: Some(1 << 20),
        decay_interval: Duration::from_secs(1),
        ..PoolConfig::default()
    };
    Pool::new(config).expect("a valid configuration")
}

fn large(pool: &Pool) -> Bytes {
    let mut buffer = pool.acquire(LARGE);
    buffer.put(b"frame");
    buffer.freeze()
}

fn batch(writer: &mut crate::Writer, len: usize) -> Batch {
    writer.begin(len);
    writer.put(&vec![1; len]);
    writer.commit();
    let mut sealed = Batch::default();
    writer.seal(|batch| sealed = batch);
    sealed
}

#[test]
fn a_segment_is_free_only_when_both_consumers_returned_it() {
    model(|| {
        let mut segment = Segment::new(64).expect("room");
        let (one, other) = (segment.seal(0, 8, None), segment.seal(8, 24, None));
        let one = thread::spawn(move || drop(one));
        let other = thread::spawn(move || drop(other));
        let early = segment.is_free();
        one.join().unwrap();
        other.join().unwrap();
        assert!(segment.is_free());
        if early {
            segment.reset();
            assert!(segment.is_free());
        }
    });
}

#[test]
fn the_last_of_owner_and_consumers_frees_a_segment_once() {
    model(|| {
        let mut segment = Segment::new(64).expect("room");
        let (one, other) = (segment.seal(0, 8, None), segment.seal(8, 24, None));
        let one = thread::spawn(move || drop(one));
        let other = thread::spawn(move || drop(other));
        drop(segment);
        one.join().unwrap();
        other.join().unwrap();
    });
}

#[test]
fn two_returns_and_a_take_keep_count_and_cap() {
    model(|| {
        let pool = pool(LARGE);
        let (one, other) = (large(&pool), large(&pool));
        let one = thread::spawn(move || drop(one));
        let other = thread::spawn(move || drop(other));
        let taken = large(&pool);
        one.join().unwrap();
        other.join().unwrap();
        drop(taken);
        let stats = pool.stats();
        assert_eq!((stats.classes[0].live, stats.held_bytes), (0, 0));
        assert_eq!(stats.parked_bytes, LARGE);
        let mapped = stats.classes[0].misses as usize * LARGE;
        assert_eq!(mapped, stats.parked_bytes + stats.released.cap);
    });
}

#[test]
fn a_return_during_a_tick_is_parked_or_released_never_lost() {
    model(|| {
        let pool = pool(2 * LARGE);
        let now = Instant::now();
        let (parked, returned) = (large(&pool), large(&pool));
        drop(parked);
        pool.tick(now);
        let dropper = thread::spawn(move || drop(returned));
        pool.tick(now + Duration::from_secs(1));
        dropper.join().unwrap();
        let stats = pool.stats();
        assert_eq!(2 * LARGE, stats.parked_bytes + stats.released.decay + stats.released.idle);
    });
}

#[test]
fn a_lease_that_ends_while_the_pool_goes_parks_nothing() {
    model(|| {
        let pool = pool(2 * LARGE);
        let state = pool.state().clone();
        let lease = large(&pool);
        let dropper = thread::spawn(move || drop(lease));
        drop(pool);
        dropper.join().unwrap();
        assert_eq!((state.classes.parked(), state.budget.held()), (0, 0));
    });
}

#[test]
fn two_charges_never_pass_the_ceiling_together() {
    model(|| {
        let pool = pool(0);
        let body = 300 << 10;
        let other = pool.clone();
        let charge = thread::spawn(move || other.state().charge(crate::budget::Direction::Inbound, body));
        let mine = pool.state().charge(crate::budget::Direction::Inbound, body);
        let theirs = charge.join().unwrap();
        let refused = [&mine, &theirs].iter().filter(|charge| charge.is_err()).count();
        assert_eq!(refused, 1);
        assert!(mine.err().or(theirs.err()) == Some(PoolError::Exhausted));
        assert_eq!((pool.stats().held_bytes, pool.stats().inbound_bytes), (0, 0));
    });
}

#[test]
fn a_retired_segment_is_reclaimed_once_by_writer_or_tick() {
    model(|| {
        let pool = pool(0);
        let mut writer = pool.writer();
        drop(batch(&mut writer, 8));
        let (held, other) = (batch(&mut writer, 1500), pool.clone());
        let dropper = thread::spawn(move || drop(held));
        let ticker = thread::spawn(move || other.tick(Instant::now()));
        let later = [batch(&mut writer, 1500), batch(&mut writer, 1500)];
        dropper.join().unwrap();
        ticker.join().unwrap();
        drop((later, writer));
        let stats = pool.stats();
        assert_eq!((stats.held_bytes, stats.live_bytes), (0, 0));
        let mapped = stats.segments.misses as usize * (4 << 10);
        assert_eq!(mapped, stats.parked_bytes + stats.released.decay + stats.released.idle + stats.released.cap);
    });
}
