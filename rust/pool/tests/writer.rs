//! Promises of writers, from outside the crate.

mod support;

use std::io::Write as _;
use std::time::{Duration, Instant};

use bytes::Bytes;
use pybridge_pool::{Batch, Pool, Writer};
use support::{content, defaults, frames, pool, sealed, sized, write, write_all};

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

/// Ways to append bytes to the open frame.
const WAYS: [fn(&mut Writer, &[u8]); 7] = [
    |writer, bytes| writer.put(bytes),
    |writer, bytes| {
        for &byte in bytes {
            writer.put_u8(byte);
        }
    },
    |writer, bytes| {
        writer.put_with(bytes.len() + 3, |room| {
            assert_eq!(room.len(), bytes.len() + 3);
            room[..bytes.len()].copy_from_slice(bytes);
            bytes.len()
        });
    },
    |writer, bytes| {
        writer.reserve(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        writer.advance(bytes.len());
    },
    |writer, bytes| {
        let (head, rest) = bytes.split_at(bytes.len().min(2));
        writer.put_after::<9>(rest, |place| {
            place[..head.len()].copy_from_slice(head);
            head.len()
        });
    },
    |writer, bytes| assert_eq!(writer.write(bytes).unwrap(), bytes.len()),
    |writer, bytes| writer.write_all(bytes).unwrap(),
];

#[test]
fn every_way_of_writing_appends_the_same_bytes() {
    let pool = pool();
    for mut writer in [pool.writer(), pool.writer_with_scratch(1 << 10)] {
        for (seed, part) in [1, 7, 700, 33 << 10].into_iter().enumerate() {
            let sizes = [0, 1, 5, 1000, 1 << 10, sized(40 << 10, 2000), sized(100 << 10, 9), sized(300 << 10, 3)];
            let expected: Vec<_> = sizes.iter().map(|&len| content(len, seed)).collect();
            for frame in &expected {
                writer.begin(0);
                for (number, part) in frame.chunks(part).enumerate() {
                    WAYS[(number + seed) % WAYS.len()](&mut writer, part);
                }
                writer.commit();
            }
            assert_eq!(frames(&mut sealed(&mut writer)), expected);
        }
    }
}

/// Opens a frame that leaves so much room.
fn fill(writer: &mut Writer, room: usize) -> Vec<u8> {
    writer.begin(0);
    writer.put(b"a frame that is in the middle of its memory");
    let filled = content(writer.room() - room, room);
    writer.put(&filled);
    assert_eq!(writer.room(), room);
    [&b"a frame that is in the middle of its memory"[..], &filled].concat()
}

#[test]
fn bytes_come_out_whole_however_little_room_is_left() {
    let pool = Pool::new(defaults().segment_bytes(8 << 10)).unwrap();
    let mut writer = pool.writer();
    for way in WAYS {
        for (room, bytes) in (0..=16).flat_map(|room| [(room, &b"2."[..]), (room, b"seven..")]) {
            busy_writer(&mut writer);
            let mut expected = fill(&mut writer, room);
            way(&mut writer, bytes);
            expected.extend(bytes);
            writer.commit();
            assert_eq!(frames(&mut sealed(&mut writer)), [expected], "{room} bytes of room");
        }
    }
}

#[test]
fn a_frame_moves_only_for_more_than_its_room() {
    let pool = pool();
    let mut writer = pool.writer();
    busy_writer(&mut writer);
    for len in [5, 100] {
        fill(&mut writer, len);
        writer.reserve(len);
        writer.put_with(len, |_| 0);
        assert_eq!(writer.room(), len);
        writer.put_with(len + 1, |_| 0);
        assert!(writer.room() > len);
        writer.abort();
    }
    writer.begin(0);
    let room = writer.room();
    assert!(room < 60 << 10 || !writer.is_in_scratch());
    writer.put(b"some");
    writer.commit();
    writer.begin(room - 4);
    assert_eq!(writer.room(), room - 4);
    writer.abort();
    writer.begin(200 << 10);
    assert!(writer.room() >= 200 << 10);
    writer.abort();
}

#[test]
fn a_large_frame_takes_buffers_by_what_is_known_of_its_length() {
    let leases = |pool: &Pool| pool.stats().classes.iter().map(|class| class.hits + class.misses).collect::<Vec<_>>();
    let write = |writer: &mut Writer, len: usize, part: usize| {
        writer.begin(0);
        for part in content(len, 1).chunks(part) {
            writer.put(part);
        }
        writer.commit();
        sealed(writer).pop().expect("a batch").pins()
    };
    let expected: [(usize, usize, usize, [u64; 4]); 3] = [
        (40 << 10, 40 << 10, 64 << 10, [1, 0, 0, 0]),    // in one piece
        (70 << 10, 10 << 10, 256 << 10, [0, 1, 0, 0]),   // in pieces
        (600 << 10, 10 << 10, 1280 << 10, [0, 1, 0, 1]), // by way of a smaller one
    ];
    for (len, part, pins, leased) in expected {
        let pool = pool();
        assert_eq!((write(&mut pool.writer(), len, part), &leases(&pool)[..4]), (pins, &leased[..]));
    }
    let pool = pool();
    let mut writer = pool.writer();
    for times in 1..4 {
        write(&mut writer, 600 << 10, 10 << 10);
        assert_eq!(leases(&pool)[..4], [0, 1, times - 1, 1], "as long as the last one from the start");
    }
    let small = Pool::new(defaults().segment_bytes(8 << 10)).unwrap();
    assert_eq!(write(&mut small.writer(), 20 << 10, 1 << 10), 64 << 10);
    assert_eq!(leases(&small)[..4], [1, 1, 0, 0], "too large a one for what it became");
    assert_eq!(write(&mut small.writer(), 5 << 10, 1 << 10), 5 << 10);
}

#[test]
fn the_ends_of_64_frames_fit_behind_a_full_segment() {
    let pool = pool();
    let mut writer = pool.writer();
    busy_writer(&mut writer);
    for seed in 0..60 {
        write(&mut writer, &content(1000, seed));
    }
    writer.begin(0);
    writer.put(&content(writer.room(), 3));
    assert_eq!(writer.room(), 0);
    writer.commit();
    let batches = sealed(&mut writer);
    assert_eq!((batches.len(), batches[0].frames(), batches[0].is_shared()), (1, 61, true));
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
