//! Tests of a queue by its two ends, the producer and the consumer.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use bytes::Bytes;

use super::*;
use crate::error::Reason;

/// Two batches are in flight, of which the producer needs one to be taken.
fn queue_that_waits() -> Queue {
    let queue = Queue::new(Watermarks { high_bytes: 128, low_bytes: 96, high_items: 8, low_items: 8 });
    for _ in 0..2 {
        let batch = Batch::single(Bytes::from_static(b"frame"));
        queue.credit.charge(&batch);
        assert!(queue.push(batch, || panic!("it does not wait yet")).is_none());
    }
    assert!(queue.credit.pause(), "over the mark");
    queue
}

fn take(queue: &Queue) -> Batch {
    let Poll::Ready(Ok(batch)) = queue.poll(None) else { panic!("two are queued") };
    batch
}

type Way<'a> = &'a dyn Fn(&Queue, &dyn Fn());

#[test]
fn a_producer_that_waits_is_resumed_once_whoever_gives_the_credit() {
    let by_credit = |queue: &Queue, resume: &dyn Fn()| {
        let batch = take(queue);
        queue.credit.restore(charged_bytes(&batch), batch.frames(), resume);
    };
    let by_abandoning = |queue: &Queue, resume: &dyn Fn()| drop(queue.abandon(resume));
    let by_a_batch_after_the_ending = |queue: &Queue, resume: &dyn Fn()| {
        let late = take(queue);
        drop(queue.end(Ending::Finished));
        assert!(queue.push(late, resume).is_none());
    };
    let ways: [Way<'_>; 3] = [&by_credit, &by_abandoning, &by_a_batch_after_the_ending];
    for (number, way) in ways.into_iter().enumerate() {
        let queue = queue_that_waits();
        let resumed = Cell::new(0);
        way(&queue, &|| resumed.set(resumed.get() + 1));
        drop(queue.abandon(|| panic!("it does not wait any more")));
        assert_eq!((resumed.get(), queue.credit.is_paused()), (1, false), "way {number}");
    }
}

#[test]
fn two_waits_with_as_much_in_flight_are_told_apart() {
    let queue = queue_that_waits();
    let first = queue.credit.pause_state();
    queue.credit.unpause();
    assert_eq!(queue.credit.pause_state(), None);
    assert!(queue.credit.pause());
    assert_ne!(queue.credit.pause_state(), first);
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Nobody waits in these tests.
fn unasked() {
    panic!("nobody waits");
}

/// A queue for this many bytes and items; its producer goes on at or below half of them.
fn queue(high_bytes: usize, high_items: usize) -> Queue {
    Queue::new(Watermarks { high_bytes, low_bytes: high_bytes / 2, high_items, low_items: high_items / 2 })
}

fn frame(len: usize) -> Batch {
    Batch::single(Bytes::from(vec![b'x'; len]))
}

/// A batch of many frames in a segment that others share.
fn frames(writer: &mut pybridge_pool::Writer, lens: &[usize]) -> Batch {
    let mut sealed = Batch::default();
    for _ in 0..2 {
        for &len in lens {
            writer.begin(0);
            writer.put(&vec![b'x'; len]);
            writer.commit();
        }
        writer.seal(|batch| sealed = batch);
    }
    assert!(sealed.is_shared(), "the second batch of an interval");
    sealed
}

fn pool() -> Pool {
    Pool::new(pybridge_pool::PoolConfig::default()).expect("the defaults are valid")
}

fn put(queue: &Queue, batch: Batch) {
    queue.credit.charge(&batch);
    assert!(queue.push(batch, unasked).is_none());
}

fn ends(queue: &Queue) -> bool {
    matches!(queue.poll(None), Poll::Ready(Err(Ending::Finished)))
}

#[test]
fn a_frame_weighs_its_bytes_and_64_more() {
    let pool = pool();
    assert_eq!(charged_bytes(&frame(5)), 69);
    assert_eq!(charged_bytes(&frames(&mut pool.writer(), &[1, 2, 3])), 6 + 3 * 64);
}

/// Guarantee F-01.
#[test]
fn what_may_be_added_is_up_to_the_marks_of_bytes_and_of_items() {
    let queue = queue(200, 3);
    assert_eq!(queue.credit.remaining(0, 0), Some((3, 200)));
    queue.credit.charge(&frame(36));
    assert_eq!(queue.credit.in_flight(), (100, 1));
    assert_eq!(queue.credit.remaining(1, 60), Some((1, 40)));
    assert_eq!(queue.credit.remaining(2, 100), Some((0, 0)), "the mark itself is allowed");
    assert_eq!((queue.credit.remaining(3, 0), queue.credit.remaining(0, 101)), (None, None));
}

#[test]
fn a_producer_waits_only_while_bytes_or_items_are_above_the_low_mark() {
    let by_bytes = queue(200, 100);
    by_bytes.credit.charge(&frame(36));
    assert!(!by_bytes.credit.pause() && !by_bytes.credit.is_paused(), "at the low mark");
    by_bytes.credit.charge(&frame(0));
    assert!(by_bytes.credit.pause() && by_bytes.credit.is_paused());
    let by_items = queue(1 << 20, 2);
    by_items.credit.charge(&frame(0));
    assert!(!by_items.credit.pause());
    by_items.credit.charge(&frame(0));
    assert!(by_items.credit.pause());
    assert_eq!(by_items.credit.pause_state(), Some((2, 128, 2)), "it has waited twice");
}

#[test]
fn a_patient_reader_is_woken_by_a_half_full_window_a_waiting_producer_or_the_end() {
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let patient = |queue: &Queue| assert!(queue.poll_batch(Some(&waker), true).is_pending());
    let push = |queue: &Queue| {
        queue.credit.charge(&frame(36));
        queue.push(frame(36), || ())
    };
    let by_bytes = queue(400, 100);
    patient(&by_bytes);
    assert!(push(&by_bytes).is_none(), "a quarter");
    assert!(push(&by_bytes).is_some(), "half");
    let by_items = queue(1 << 20, 4);
    patient(&by_items);
    assert!(push(&by_items).is_none());
    assert!(push(&by_items).is_some());
    let waiting = Queue::new(Watermarks { high_bytes: 1000, low_bytes: 100, high_items: 100, low_items: 50 });
    patient(&waiting);
    waiting.credit.charge(&frame(200)); // sealed, and not here yet
    assert!(waiting.take_patient_reader().is_some());
    patient(&waiting);
    assert!(waiting.credit.pause());
    assert!(push(&waiting).is_some(), "whatever comes while the producer waits");
    let over = queue(1000, 100);
    patient(&over);
    assert_eq!(over.end(Ending::cancelled(Reason::Idle)).map(|wakers| wakers.len()), Some(1));
    assert!(matches!(over.poll_batch(None, true), Poll::Ready(None)), "the ending stays");
    assert!(matches!(over.poll(None), Poll::Ready(Err(Ending::Cancelled(_)))));
    let eager = queue(1 << 20, 100);
    assert!(eager.poll(Some(&waker)).is_pending());
    assert!(eager.take_patient_reader().is_none());
    assert!(push(&eager).is_some());
}

#[test]
fn a_producer_without_a_consumer_does_not_wait() {
    let queue = queue(100, 1);
    assert!(!queue.credit.is_abandoned());
    drop(queue.abandon(unasked));
    queue.credit.charge(&frame(200));
    assert!(queue.credit.is_abandoned() && !queue.credit.pause() && !queue.credit.is_paused());
}

/// Guarantee F-01.
#[test]
fn credit_resumes_the_producer_at_the_low_mark_and_not_before() {
    let queue = queue(200, 100);
    for _ in 0..3 {
        queue.credit.charge(&frame(36));
    }
    assert!(queue.credit.pause());
    queue.credit.restore(100, 1, || panic!("200 are in flight, 100 may be"));
    let resumed = Cell::new(false);
    queue.credit.restore(100, 1, || resumed.set(true));
    assert!(resumed.get() && !queue.credit.is_paused());
    assert_eq!((queue.credit.in_flight(), queue.credit.pause_state()), ((100, 1), None));
    queue.credit.restore(100, 1, unasked);
}

#[test]
fn the_reader_is_woken_by_a_batch_and_by_the_ending() {
    let (queue, woken) = (queue(1000, 10), Arc::new(Woken::default()));
    let waker = Waker::from(Arc::clone(&woken));
    assert!(queue.poll(Some(&waker)).is_pending());
    queue.credit.charge(&frame(1));
    queue.push(frame(1), unasked).expect("it waits").wake();
    assert!(queue.push(frame(2), unasked).is_none(), "it is awake");
    assert!(matches!(queue.poll(Some(&waker)), Poll::Ready(Ok(batch)) if batch.bytes().len() == 1));
    assert!(matches!(queue.poll(Some(&waker)), Poll::Ready(Ok(batch)) if batch.bytes().len() == 2));
    assert!(queue.poll(Some(&waker)).is_pending());
    queue.end(Ending::Finished).expect("the first").into_iter().for_each(Waker::wake);
    assert_eq!(woken.0.load(Ordering::Relaxed), 2);
    assert!(ends(&queue) && ends(&queue), "an ending stays");
}

/// Guarantee S-03.
#[test]
fn the_first_ending_counts_and_comes_after_what_is_queued() {
    let queue = queue(1000, 10);
    put(&queue, frame(1));
    assert!(!queue.has_ended() && queue.peek_ending(|_| ()).is_none());
    assert!(queue.end(Ending::Finished).is_some_and(|wakers| wakers.is_empty()));
    assert!(queue.end(Ending::cancelled(Reason::Caller)).is_none());
    assert!(queue.has_ended());
    assert_eq!(queue.peek_ending(|ending| matches!(ending, Ending::Finished)), Some(true));
    drop(take(&queue));
    assert!(ends(&queue));
}

#[test]
fn who_waits_for_the_ending_is_woken_unless_it_gave_up() {
    let queue = queue(1000, 10);
    let (one, other) = (Arc::new(Woken::default()), Arc::new(Woken::default()));
    let given_up = Waker::from(Arc::clone(&other));
    assert!(!queue.is_over_or_wake(Some(&Waker::from(Arc::clone(&one)))));
    assert!(!queue.is_over_or_wake(Some(&given_up)) && !queue.is_over_or_wake(None));
    queue.forget_closer(&given_up);
    queue.end(Ending::Finished).expect("the first").into_iter().for_each(Waker::wake);
    assert!(queue.is_over_or_wake(Some(&given_up)) && queue.is_over_or_wake(None));
    assert_eq!((one.0.load(Ordering::Relaxed), other.0.load(Ordering::Relaxed)), (1, 0));
    drop(given_up);
    assert_eq!(Arc::strong_count(&other), 1, "nobody is kept after the ending");
}

#[test]
fn what_nobody_reads_is_dropped_and_no_longer_in_flight() {
    let (queue, woken) = (queue(1000, 10), Arc::new(Woken::default()));
    assert!(queue.poll(Some(&Waker::from(Arc::clone(&woken)))).is_pending());
    for _ in 0..2 {
        queue.credit.charge(&frame(6));
    }
    queue.push(frame(6), unasked).expect("it waits").wake();
    assert!(queue.push(frame(6), unasked).is_none());
    assert_eq!(queue.credit.in_flight(), (140, 2));
    assert!(queue.abandon(unasked).is_none(), "it has been woken");
    assert_eq!(queue.credit.in_flight(), (0, 0));
    put(&queue, frame(9));
    assert_eq!(queue.credit.in_flight(), (0, 0));
    assert!(queue.poll(Some(&Waker::from(Arc::clone(&woken)))).is_pending());
    queue.abandon(unasked).expect("it waits again").wake();
    assert_eq!(woken.0.load(Ordering::Relaxed), 2);
}

#[test]
fn queued_frames_are_copied_out_up_to_so_many_bytes_where_they_pin_far_more() {
    let (pool, queue) = (pool(), queue(1 << 30, 1 << 20));
    let mut writer = pool.writer();
    for _ in 0..3 {
        put(&queue, frames(&mut writer, &[100]));
    }
    put(&queue, frames(&mut writer, &[16 << 10]));
    put(&queue, frame(10));
    assert_eq!(queue.copy_out(&pool, 0), 0);
    assert_eq!(queue.copy_out(&pool, 150), 200, "whole batches, until it is enough");
    assert_eq!(queue.copy_out(&pool, usize::MAX), 100);
    assert_eq!(queue.copy_out(&pool, usize::MAX), 0);
    assert_eq!(pool.stats().copied_out_bytes, 300);
    let shared: Vec<_> = (0..5).map(|_| take(&queue).is_shared()).collect();
    assert_eq!(shared, [false, false, false, true, false], "a quarter of its segment is not worth it");
}
