//! Promises of writers, from outside the crate.

mod support;

use std::time::{Duration, Instant};

use bytes::Bytes;
use pybridge_pool::{Batch, Writer};
use support::{content, frames, pool, sealed, sized, write, write_all};

#[test]
fn frames_come_out_whole_and_in_order_whatever_their_sizes() {
    let pool = pool();
    let mut writer = pool.writer();
    let sizes = [0, 1, 5, 512, 31 << 10, 40 << 10, 7, 70 << 10, 300 << 10, 2, 0, 3 << 20, 65 << 10, 20 << 20, 9];
    let expected: Vec<_> = sizes.iter().enumerate().map(|(seed, &len)| content(len, seed)).collect();
    for _ in 0..sized(3, 1) {
        write_all(&mut writer, &expected);
        assert_eq!(frames(&mut sealed(&mut writer)), expected);
    }
    assert_eq!(pool.stats().live_bytes, 0);
}

#[test]
fn bytes_put_one_by_one_come_out_whole_and_in_order() {
    let pool = pool();
    for mut writer in [pool.writer(), pool.writer_with_scratch(1 << 10)] {
        let expected: Vec<_> = [0, 1, 700, 1 << 10, 3, 40 << 10, 5, 100 << 10, 2]
            .iter()
            .enumerate()
            .map(|(seed, &len)| content(sized(len, len.min(2 << 10)), seed))
            .collect();
        for frame in &expected {
            writer.begin(0);
            frame.iter().for_each(|&byte| writer.put_u8(byte));
            writer.commit();
        }
        assert_eq!(frames(&mut sealed(&mut writer)), expected);
    }
}

#[test]
fn a_segment_that_nobody_reads_is_written_from_its_start_again() {
    let pool = pool();
    let mut writer = pool.writer();
    for turn in 0..sized(2000, 20) {
        batch_of(&mut writer, 1, sized(100, 10_000));
        let stats = pool.stats();
        assert_eq!((stats.hits + stats.misses, stats.held_bytes), (1, 64 << 10), "turn {turn}");
    }
}

#[test]
fn frames_that_begin_in_scratch_come_out_whole_and_need_no_pool_while_they_are_copied_out() {
    let pool = pool();
    let mut writer = pool.writer_with_scratch(1 << 10);
    for (seed, len) in [0, 1, 1000, 1 << 10, 3].into_iter().enumerate() {
        let expected = content(len, seed);
        writer.begin(0);
        writer.put(&expected);
        assert!(writer.is_in_scratch());
        assert_eq!(writer.frame_mut(), expected);
        writer.clear_scratch();
    }
    let stats = pool.stats();
    assert_eq!((stats.hits, stats.misses, stats.live_bytes, stats.parked_bytes), (0, 0, 0, 0));
    for sizes in [vec![5, 0, 900], vec![0; 20], vec![2000, 1], vec![40, 1000, 40 << 10, 7], vec![300 << 10, 8]] {
        let expected: Vec<_> = sizes.iter().enumerate().map(|(seed, &len)| content(len, seed)).collect();
        let mut writer = pool.writer_with_scratch(1 << 10);
        for _ in 0..2 {
            write_all(&mut writer, &expected);
            assert_eq!(frames(&mut sealed(&mut writer)), expected);
        }
    }
    assert_eq!(pool.stats().live_bytes, 0);
}

#[test]
fn many_small_frames_share_few_batches() {
    let pool = pool();
    let mut writer = pool.writer();
    let expected: Vec<_> = (0..sized(5000, 1000)).map(|seed| content(seed % 60, seed)).collect();
    write_all(&mut writer, &expected);
    let mut batches = sealed(&mut writer);
    assert!(batches.len() <= 4, "{} batches", batches.len());
    assert_eq!(frames(&mut batches), expected);
}

#[test]
fn a_batch_copied_out_has_the_same_frames_and_frees_the_segment() {
    let pool = pool();
    let mut writer = pool.writer();
    write(&mut writer, b"opens the epoch");
    drop(sealed(&mut writer));
    for count in [1, 3, 50] {
        let expected: Vec<_> = (0..count).map(|seed| content(20, seed)).collect();
        write_all(&mut writer, &expected);
        let mut batches = sealed(&mut writer);
        assert!(pool.stats().live_bytes > 0);
        assert_eq!(pool.unpin(&mut batches[0]), 20 * count);
        assert_eq!(pool.stats().live_bytes, 0);
        assert_eq!(frames(&mut batches), expected);
    }
}

/// Guarantee V-19.
#[test]
fn a_failed_frame_leaves_no_byte_and_no_capacity() {
    let pool = pool();
    let mut writer = pool.writer();
    let good = content(200, 1);
    for failed in [0, 1, 199, 4 << 20] {
        write(&mut writer, &good);
        writer.begin(0);
        writer.put(&content(failed, 2));
        writer.abort();
        write(&mut writer, &good);
        assert_eq!(frames(&mut sealed(&mut writer)), [&good[..], &good[..]]);
    }
    let stats = pool.stats();
    assert_eq!(stats.live_bytes, 0);
    assert!(stats.held_bytes <= 64 << 10);
}

/// Guarantee M-08.
#[test]
fn one_large_frame_leaves_no_large_capacity_behind() {
    let pool = pool();
    let mut writer = pool.writer();
    write(&mut writer, &content(16 << 20, 0));
    drop(sealed(&mut writer));
    for seed in 0..sized(10_000, 100) {
        write(&mut writer, &content(200, seed));
        drop(sealed(&mut writer));
    }
    let stats = pool.stats();
    assert!(stats.held_bytes <= 64 << 10, "{stats:?}");
    assert!(stats.parked_bytes <= 36 << 20);
    let now = Instant::now();
    (1..10).for_each(|second| pool.tick(now + Duration::from_secs(second)));
    assert_eq!(pool.stats().parked_bytes, 0);
}

/// Guarantee M-05.
#[test]
fn slices_outlive_writer_and_pool() {
    let pool = pool();
    let mut writer = pool.writer();
    let (small, large) = (content(100, 1), content(100 << 10, 2));
    write(&mut writer, &small);
    drop(sealed(&mut writer));
    write(&mut writer, &small);
    write(&mut writer, &large);
    let kept = frames(&mut sealed(&mut writer));
    drop((writer, pool));
    assert_eq!(kept, [small, large]);
}

/// A writer whose next batch shares its segment.
fn busy_writer(writer: &mut Writer) {
    write(writer, b"the first batch of an interval is alone");
    drop(sealed(writer));
}

fn batch_of(writer: &mut Writer, frames: usize, len: usize) -> Batch {
    write_all(writer, &(0..frames).map(|seed| content(len, seed)).collect::<Vec<_>>());
    sealed(writer).pop().expect("frames were written")
}

#[test]
fn a_batch_pins_its_segment_or_its_buffer_or_its_own_bytes() {
    let pool = pool();
    let mut writer = pool.writer();
    assert_eq!(Batch::single(Bytes::from_static(b"frame")).pins(), 5);
    assert_eq!(Batch::default().pins(), 0);
    busy_writer(&mut writer);
    let mut shared = batch_of(&mut writer, 3, 100);
    assert_eq!((shared.pins(), shared.is_shared()), (64 << 10, true));
    assert_eq!(shared.copy_out(), 300);
    assert_eq!((shared.pins(), shared.is_shared(), shared.copy_out()), (300, false, 0));
    let large = batch_of(&mut writer, 1, 1_000_000);
    assert_eq!((large.pins(), large.is_shared()), (1280 << 10, false));
}

#[test]
fn the_ends_of_more_than_six_frames_lie_behind_them() {
    let pool = pool();
    let mut writer = pool.writer();
    for (frames, behind) in [(1, 0), (6, 0), (7, 28), (50, 200)] {
        let alone = batch_of(&mut writer, frames, 10);
        assert_eq!((alone.pins(), alone.bytes().len()), (10 * frames + behind, 10 * frames));
        pool.tick(Instant::now() + Duration::from_secs(frames as u64));
    }
}

#[test]
fn a_slice_ends_with_the_frames_not_with_their_memory() {
    let pool = pool();
    let mut writer = pool.writer();
    busy_writer(&mut writer);
    let mut batch = batch_of(&mut writer, 50, 10);
    assert_eq!(batch.slice(0..500)[490..], content(10, 49));
    assert_eq!((batch.range(49), batch.range(50), batch.range(usize::MAX)), (Some(490..500), None, None));
    let beyond = std::panic::AssertUnwindSafe(|| batch.slice(0..501));
    assert!(std::panic::catch_unwind(beyond).is_err());
}
