//! Allocations that writers ask malloc for.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use allocation_counter::measure;
use crossbeam_queue::ArrayQueue;
use pybridge_pool::{Batch, Pool, Writer};
use support::pool;

fn allocations(act: impl FnOnce()) -> usize {
    usize::try_from(measure(act).count_total).unwrap()
}

fn batch(writer: &mut Writer, frames: usize, len: usize) {
    for _ in 0..frames {
        writer.begin(0);
        writer.put(&[7; 8192][..len]);
        writer.commit();
    }
}

#[test]
#[cfg_attr(miri, ignore = "the steady state begins after thousands of turns")]
fn steady_state_allocates_nothing_for_a_frame_and_at_most_once_for_a_batch() {
    for (frames, len) in [(1, 50), (1, 512), (4, 200), (16, 512), (64, 100), (64, 700)] {
        let pool = pool();
        let mut writer = pool.writer();
        let turn = |writer: &mut Writer| {
            batch(writer, frames, len);
            let mut batches = 0;
            writer.seal(|batch| {
                drop(batch);
                batches += 1;
            });
            batches
        };
        for _ in 0..2000 {
            turn(&mut writer);
        }
        for _ in 0..2000 {
            let mut batches = 0;
            let count = allocations(|| batches = turn(&mut writer));
            assert!(count <= batches, "{count} allocations for {batches} batches of {frames} frames of {len} bytes");
        }
    }
}

#[test]
fn a_writer_leaves_no_memory_behind() {
    let pool = pool();
    drop(pool.writer_with_scratch(1 << 10));
    let left = measure(|| {
        let mut writer = pool.writer_with_scratch(1 << 10);
        batch(&mut writer, 3, 100);
        writer.seal(drop);
    });
    assert_eq!((left.bytes_current, left.count_current), (0, 0));
}

#[test]
fn a_large_frame_that_finds_a_parked_buffer_allocates_only_its_owner() {
    let pool = pool();
    let mut writer = pool.writer();
    let payload = vec![7; 1 << 20];
    let mut turn = || {
        writer.begin(payload.len());
        writer.put(&payload);
        writer.commit();
        writer.seal(drop);
    };
    (0..4).for_each(|_| turn());
    assert_eq!(allocations(turn), 1);
}

/// Batches of one writer that wait for a consumer at most.
const QUEUED: usize = 8;
const WARM_UP: usize = 20_000;
const COUNTED: usize = 20_000;

/// One turn: a batch of so many frames of changing lengths, handed over; waits while the queue is full.
fn hand_over(writer: &mut Writer, turn: usize, frames: usize, queue: &ArrayQueue<Batch>) {
    for frame in 0..frames {
        batch(writer, 1, 40 + (turn + frame) * 31 % 500);
    }
    writer.seal(|sealed| {
        let mut waiting = Some(sealed);
        while let Some(refused) = waiting.take().and_then(|batch| queue.push(batch).err()) {
            waiting = Some(refused);
            thread::yield_now();
        }
    });
}

/// The batches and allocations of one producing thread after its warm-up.
fn produce(pool: &Pool, frames: usize, queue: &ArrayQueue<Batch>) -> (usize, usize) {
    let mut writer = pool.writer();
    (0..WARM_UP).for_each(|turn| hand_over(&mut writer, turn, frames, queue));
    (COUNTED, allocations(|| (0..COUNTED).for_each(|turn| hand_over(&mut writer, turn, frames, queue))))
}

#[test]
#[cfg_attr(miri, ignore = "the steady state begins after thousands of turns")]
fn writers_on_several_threads_allocate_nothing_for_a_frame_while_others_drop() {
    let pool = pool();
    let queue = ArrayQueue::new(QUEUED);
    let (producing, dropped) = (AtomicUsize::new(3), AtomicUsize::new(0));
    thread::scope(|scope| {
        let writers = [1, 16, 64].map(|frames| {
            let (pool, queue, producing) = (&pool, &queue, &producing);
            scope.spawn(move || {
                let counted = produce(pool, frames, queue);
                producing.fetch_sub(1, Ordering::Release);
                (frames, counted)
            })
        });
        let consume = || {
            while producing.load(Ordering::Acquire) > 0 || !queue.is_empty() {
                match queue.pop() {
                    Some(batch) => drop(dropped.fetch_add(batch.frames(), Ordering::Relaxed)),
                    None => thread::yield_now(),
                }
            }
        };
        for consumer in [scope.spawn(consume), scope.spawn(consume)] {
            consumer.join().unwrap();
        }
        for (frames, (batches, count)) in writers.map(|writer| writer.join().unwrap()) {
            // One lease in 128 is watched, and now and then a segment is made anew.
            assert!(count <= batches / 32, "{count} allocations for {batches} batches of {frames} frames");
        }
    });
    assert_eq!(dropped.into_inner(), (WARM_UP + COUNTED) * (1 + 16 + 64));
}
