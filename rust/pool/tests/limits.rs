//! Budgets, parked limits, decay and pinning, as the statistics show them.

mod support;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pybridge_pool::{Batch, Pool, PoolError, PooledBuf, Writer};
use support::{content, defaults, frames, pool, sealed, sized, tight, write, write_all};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Guarantee M-04.
#[test]
fn inbound_bodies_have_at_most_half_of_the_ceiling() {
    let pool = Pool::new(tight()).unwrap();
    let mut bodies = Vec::new();
    let error = loop {
        match pool.inbound(&content(100 * KIB, 1)) {
            Ok(body) => bodies.push(body),
            Err(error) => break error,
        }
    };
    assert_eq!(error, PoolError::Exhausted);
    let stats = pool.stats();
    assert_eq!(bodies.len(), 4, "four buffers of 256 KiB are half of 2 MiB");
    assert_eq!((stats.inbound_bytes, stats.held_bytes, stats.exhausted), (MIB, MIB, 1));
    assert!(pool.try_acquire(100 * KIB).is_ok(), "outbound does not wait on inbound");
    bodies.pop();
    assert!(pool.inbound(&content(100 * KIB, 1)).is_ok());
    drop(bodies);
    assert_eq!(pool.stats().inbound_bytes, 0);
}

/// Guarantee M-03.
#[test]
fn over_the_ceiling_try_acquire_fails_and_acquire_falls_back_untracked() {
    let pool = Pool::new(tight()).unwrap();
    let held: Vec<_> = std::iter::from_fn(|| pool.try_acquire(256 * KIB).ok()).collect();
    assert!(held.len() == 8 && held.iter().all(PooledBuf::is_tracked));
    assert_eq!(pool.try_acquire(1).err(), Some(PoolError::Exhausted));
    let fallback = pool.acquire(256 * KIB);
    assert!(!fallback.is_tracked());
    let mut writer = pool.writer();
    write(&mut writer, &content(900, 1));
    assert_eq!(frames(&mut sealed(&mut writer)), [content(900, 1)]);
    drop(fallback);
    let stats = pool.stats();
    assert_eq!((stats.fallbacks, stats.held_bytes, stats.peak_bytes), (2, 2 * MIB, 2 * MIB));
    assert_eq!(stats.classes[1].parked, 0);
}

#[test]
fn more_than_the_ceiling_is_oversized() {
    let pool = Pool::new(tight()).unwrap();
    let oversized = |len, most| Some(PoolError::Oversized { len, most, max_live_bytes: 2 * MIB });
    assert_eq!(pool.try_acquire(3 * MIB).err(), oversized(3 * MIB, 2 * MIB));
    assert_eq!(pool.try_acquire(usize::MAX).err(), oversized(usize::MAX, 2 * MIB));
    assert_eq!(pool.inbound(&content(MIB + 1, 1)).err(), oversized(MIB + 1, MIB));
    assert_eq!(pool.inbound_body(Some(11), 10).err(), Some(PoolError::TooLong { len: 11, max: 10 }));
    assert_eq!(pool.stats().oversized, 3);
}

/// Guarantee L-05.
#[test]
fn a_body_in_pieces_takes_room_for_what_arrived_not_for_what_was_announced() {
    let pool = pool();
    let announced = 16 * MIB;
    let mut body = pool.inbound_body(Some(announced), announced).unwrap();
    assert_eq!(pool.stats().held_bytes, 0);
    body.push(b"little").unwrap();
    assert!(pool.stats().held_bytes <= 32 * KIB);
    body.push(&content(100 * KIB, 1)).unwrap();
    assert!(pool.stats().held_bytes <= 256 * KIB);
    let mut expected = b"little".to_vec();
    expected.extend(content(100 * KIB, 1));
    assert_eq!(body.finish(), expected);
}

#[test]
fn a_body_in_pieces_grows_by_factors_and_only_when_it_is_full() {
    let pool = pool();
    let mut body = pool.inbound_body(None, 16 * MIB).unwrap();
    let held =
        |expected: usize| assert_eq!((pool.stats().held_bytes, pool.stats().inbound_bytes), (expected, expected));
    for _ in 0..4 {
        body.push(&content(KIB, 1)).unwrap();
        held(4 * KIB);
    }
    assert_eq!(pool.stats().peak_bytes, 4 * KIB, "nothing was moved");
    for len in [1, 10 * KIB] {
        body.push(&content(len, 2)).unwrap();
        held(16 * KIB);
    }
    body.push(&content(40 * KIB, 3)).unwrap();
    let large = pool.stats().held_bytes;
    assert_eq!(large, 256 * KIB);
    for _ in 0..20 {
        body.push(&content(10 * KIB - 100, 4)).unwrap();
        held(large);
    }
    body.push(&content(10 * KIB, 5)).unwrap();
    held(1280 * KIB);
}

#[test]
fn a_body_whose_length_is_known_takes_no_more_than_that_length_needs() {
    let pool = pool();
    let held = |declared| {
        let mut body = pool.inbound_body(declared, 16 * MIB).unwrap();
        body.push(&content(200 * KIB, 1)).unwrap();
        body.push(&content(90 * KIB, 2)).unwrap();
        pool.stats().held_bytes
    };
    let (known, unknown, understated) = (held(Some(300 * KIB)), held(None), held(Some(270 * KIB)));
    assert_eq!((known, unknown, understated), (640 * KIB, 1280 * KIB, 1280 * KIB));
}

#[test]
fn a_body_in_pieces_is_whole_at_any_size_and_stops_at_its_maximum() {
    let pool = pool();
    for len in [0, 1, 4 * KIB, 4 * KIB + 1, 33 * KIB, 300 * KIB, sized(6, 1) * MIB] {
        for declared in [None, Some(len), Some(len / 2), Some(2 * MIB)] {
            let max = len.max(declared.unwrap_or(0));
            let mut body = pool.inbound_body(declared, max).unwrap();
            let expected = content(len, len);
            for piece in expected.chunks(10_000) {
                body.push(piece).unwrap();
            }
            assert_eq!(body.push(&vec![0; max + 1 - len]), Err(PoolError::TooLong { len: max + 1, max }));
            assert_eq!((body.len(), body.is_empty()), (len, len == 0));
            assert_eq!(body.finish(), expected);
        }
    }
    assert_eq!(pool.stats().held_bytes, 0);
}

#[test]
fn a_refused_piece_leaves_the_body_as_it_was() {
    let pool = Pool::new(tight()).unwrap();
    let mut body = pool.inbound_body(None, 8 * MIB).unwrap();
    let blocker = pool.inbound(&content(512 * KIB, 1));
    body.push(&content(200 * KIB, 2)).unwrap();
    assert_eq!(body.push(&content(200 * KIB, 3)), Err(PoolError::Exhausted));
    assert_eq!(body.len(), 200 * KIB);
    drop(blocker);
    assert_eq!(body.finish(), content(200 * KIB, 2));
}

/// Guarantee M-01.
#[test]
fn parked_bytes_never_pass_their_limits_and_the_rest_is_released_for_the_cap() {
    let pool = Pool::new(tight()).unwrap();
    let held: Vec<_> = (0..6).map(|_| pool.try_acquire(256 * KIB).unwrap()).collect();
    drop(held);
    let mut writer = pool.writer();
    write_all(&mut writer, &vec![content(1000, 1); 100]);
    drop(sealed(&mut writer));
    let stats = pool.stats();
    assert_eq!(stats.classes[1].parked, 2);
    assert_eq!(stats.parked_bytes, 512 * KIB + 32 * KIB);
    assert!(stats.released.cap >= 4 * 256 * KIB);
}

/// Guarantee M-01.
#[test]
fn an_idle_pool_halves_each_tick_and_gives_all_back_after_the_idle_timeout() {
    let pool = pool();
    drop((0..25).map(|_| pool.acquire(1280 * KIB)).collect::<Vec<_>>());
    let start = Instant::now();
    let parked: Vec<_> = (1..=5)
        .map(|second| {
            pool.tick(start + seconds(second));
            pool.stats().classes[3].parked
        })
        .collect();
    assert_eq!(parked, [25, 12, 6, 3, 1]);
    pool.tick(start + seconds(6));
    let stats = pool.stats();
    assert_eq!(stats.parked_bytes, 0);
    assert!(stats.released.decay > 0 && stats.released.idle > 0);
}

#[test]
fn memory_in_steady_use_does_not_decay() {
    let pool = pool();
    let start = Instant::now();
    for second in 0..sized(20, 3) as u64 {
        let held: Vec<_> = (0..8).map(|_| pool.acquire(1280 * KIB)).collect();
        drop(held);
        pool.tick(start + seconds(second));
    }
    let stats = pool.stats();
    assert_eq!((stats.classes[3].misses, stats.classes[3].parked), (8, 8));
    assert_eq!(stats.released.decay, 0);
}

#[test]
fn a_class_tells_its_buffers_as_bytes() {
    let pool = pool();
    let held: Vec<_> = (0..3).map(|_| pool.acquire(256 * KIB)).collect();
    drop(pool.acquire(256 * KIB));
    let class = pool.stats().classes[1];
    let told = (class.live_bytes(), class.parked_bytes(), class.peak_bytes());
    assert_eq!(told, (3 * 256 * KIB, 256 * KIB, 4 * 256 * KIB));
    drop(held);
}

#[test]
fn a_second_tick_in_the_same_interval_does_nothing() {
    let pool = pool();
    drop((0..8).map(|_| pool.acquire(1280 * KIB)).collect::<Vec<_>>());
    let start = Instant::now();
    pool.tick(start);
    for _ in 0..10 {
        pool.tick(start + Duration::from_millis(100));
    }
    assert_eq!(pool.stats().classes[3].parked, 8);
}

#[test]
fn an_idle_writers_segments_go_back_without_the_writer() {
    let pool = pool();
    let mut writer = pool.writer();
    let count = sized(1000, 100);
    write_all(&mut writer, &vec![content(1_000_000 / count, 1); count]);
    let batches = sealed(&mut writer);
    assert!(pool.stats().held_bytes >= MIB);
    drop(batches);
    let start = Instant::now();
    for second in 1..=7 {
        pool.tick(start + seconds(second));
    }
    let stats = pool.stats();
    assert_eq!((stats.parked_bytes, stats.held_bytes), (0, 64 * KIB), "only the writer's own segment is left");
}

/// Guarantee M-02.
#[test]
fn trim_gives_everything_parked_back_at_once() {
    let pool = pool();
    drop(pool.acquire(MIB));
    let mut writer = pool.writer();
    write_all(&mut writer, &vec![content(1000, 1); 200]);
    drop(sealed(&mut writer));
    let freed = pool.trim();
    let stats = pool.stats();
    assert_eq!(freed, stats.released.trim);
    assert!(freed > 1280 * KIB);
    assert_eq!(stats.parked_bytes, 0);
}

#[test]
fn what_slow_consumers_hold_is_bounded_and_goes_back_when_they_let_go() {
    let pool = pool();
    let mut writer = pool.writer();
    let mut held = Vec::new();
    let streams = sized(1000, 4);
    for stream in 0..streams {
        for seed in 0..128 {
            write(&mut writer, &content(64 + stream % 64, seed));
        }
        held.push(sealed(&mut writer));
    }
    let stats = pool.stats();
    assert!(stats.held_bytes <= streams * (128 * 128 + 2 * 64 * KIB), "{stats:?}");
    assert!(stats.pinned_bytes <= 8 * MIB + 4 * stats.live_bytes);
    for (stream, batches) in held.iter_mut().enumerate() {
        let expected: Vec<_> = (0..128).map(|seed| content(64 + stream % 64, seed)).collect();
        assert_eq!(frames(batches), expected);
    }
    drop(held);
    let stats = pool.stats();
    assert_eq!(stats.live_bytes, 0);
    assert!(stats.parked_bytes + stats.held_bytes <= (4 << 20) + 64 * KIB);
}

#[test]
#[cfg_attr(miri, ignore = "hundreds of segments")]
fn pinned_segments_are_noticed_by_the_look_of_a_turn() {
    let pool = pool();
    let mut writer = pool.writer();
    let mut kept = Vec::new();
    for seed in 0..20_000 {
        write(&mut writer, &content(1000, seed));
        kept.push(sealed(&mut writer));
    }
    let segments = kept.len() / 64;
    assert!(!pool.over_pinned());
    let mut number = 0;
    kept.retain(|_| {
        number += 1;
        number % 64 == 0
    });
    assert!((0..=segments / 64).any(|_| pool.over_pinned()));
    for (frames, is_shared) in [(1, false), (20, true)] {
        write(&mut writer, &content(frames * 1000, 2));
        let batches = sealed(&mut writer);
        assert_eq!(batches.last().map(Batch::is_shared), Some(is_shared), "{frames}");
    }
    drop(kept);
    assert!((0..=segments / 64).any(|_| !pool.over_pinned()));
}

#[test]
fn after_a_burst_the_idle_pool_is_within_its_cap_and_poison_stays_inside() {
    let pool = pool();
    let mut writer = pool.writer();
    for _ in 0..2 {
        let mut held = Vec::new();
        for stream in 0..sized(5000, 150) {
            write(&mut writer, &content(stream % 1500, stream));
            if stream % 500 == 0 {
                write(&mut writer, &content(100 * KIB + stream, stream));
            }
            held.extend(sealed(&mut writer));
        }
        assert!(frames(&mut held).iter().all(|frame| !frame.contains(&0xA5)));
    }
    let start = Instant::now();
    pool.tick(start);
    assert!(pool.stats().parked_bytes <= 36 * MIB);
    for second in 1..=30 {
        pool.tick(start + seconds(second));
    }
    assert_eq!(pool.stats().parked_bytes, 0);
}

/// The size of segments where small frames pin them.
const PINNED: usize = sized(64, 256) * KIB;

/// Frames that fill a segment and are dropped.
fn write_a_segment(writer: &mut Writer) {
    let len = sized(1000, 16_000);
    for seed in 0..PINNED / len {
        write(writer, &content(len, seed));
    }
    drop(sealed(writer));
}

/// Guarantee M-07.
#[test]
fn a_thousand_stalled_streams_pin_no_more_than_the_bound() {
    let pool = Pool::new(defaults().segment_bytes(PINNED)).unwrap();
    let mut writer = pool.writer();
    let mut queued = std::collections::VecDeque::new();
    for stream in 0..sized(1000, 40) {
        write(&mut writer, &content(50, stream));
        queued.extend(sealed(&mut writer));
        write_a_segment(&mut writer);
        if pool.over_pinned() {
            for batch in queued.iter_mut().filter(|batch| batch.is_shared()).take(32) {
                pool.unpin(batch);
            }
        }
        let stats = pool.stats();
        assert!(stats.pinned_bytes <= 8 * MIB + 4 * stats.live_bytes, "turn {stream}: {stats:?}");
    }
    assert!(pool.stats().copied_out_bytes > 0);
    for (stream, frame) in frames(queued.make_contiguous()).iter().enumerate() {
        assert_eq!(frame, &content(50, stream));
    }
}

/// Guarantee L-11.
#[test]
fn a_frame_holds_no_byte_of_another_request() {
    let pool = Pool::new(tight().zero_on_reuse(true)).unwrap();
    let mut writer = pool.writer();
    for request in 0..sized(3000, 60) {
        let marker = request.to_be_bytes();
        let frame = marker.repeat(1 + request % 700);
        write(&mut writer, &frame);
        let body = pool.inbound(&frame).unwrap();
        assert!(body.chunks(marker.len()).all(|part| part == marker));
        for frame in frames(&mut sealed(&mut writer)) {
            assert!(frame.chunks(marker.len()).all(|part| part == marker));
        }
    }
}

/// Guarantee M-10.
#[test]
fn zero_on_reuse_hides_what_the_last_lease_wrote() {
    let pool = Pool::new(defaults().zero_on_reuse(true)).unwrap();
    let mut first = pool.acquire(KIB);
    first.put(&[7; KIB]);
    drop(first);
    let mut second = pool.acquire(KIB);
    let capacity = second.capacity();
    assert!(second.spare_mut() == vec![0; capacity]);
    assert_eq!(pool.stats().classes[0].hits, 1);
}

/// Guarantee M-09.
#[test]
fn a_sampled_lease_older_than_leak_after_is_reported_once_with_its_stream() {
    let config = defaults().leak_after(seconds(60));
    let pool = Pool::new(config).unwrap();
    let reports = Arc::new(Mutex::new(Vec::new()));
    let sink = reports.clone();
    pool.on_leak(move |leak| sink.lock().unwrap().push(leak.clone()));
    let mut writer = pool.writer();
    let mut kept = Vec::new();
    let start = Instant::now();
    for _ in 0..256 {
        writer.set_stream(42);
        write(&mut writer, &content(100, 1));
        kept.extend(sealed(&mut writer));
    }
    pool.tick(start + seconds(59));
    assert_eq!(reports.lock().unwrap().len(), 0);
    for minute in 2..4 {
        pool.tick(start + seconds(60 * minute));
    }
    let found = reports.lock().unwrap().clone();
    assert!((1..=3).contains(&found.len()), "about one in 128 of 256: {found:?}");
    assert!(found.iter().all(|leak| leak.stream == 42 && leak.bytes == 100 && leak.age >= seconds(60)));
    assert_eq!(pool.stats().leaks, found.len());
}

#[test]
fn a_quiet_stream_pins_no_segment() {
    let pool = pool();
    let mut writer = pool.writer();
    let start = Instant::now();
    for second in 0..5 {
        write(&mut writer, &content(50, 1));
        let batches = sealed(&mut writer);
        assert!(!batches[0].is_shared());
        assert_eq!(pool.stats().live_bytes, 0);
        write(&mut writer, &content(50, 2));
        assert!(sealed(&mut writer)[0].is_shared(), "a second batch in the same interval proves a stream");
        pool.tick(start + seconds(second));
    }
}

#[test]
fn the_ceiling_has_a_default_and_the_config_is_in_the_statistics() {
    let stats = pool().stats();
    let max = stats.config.max_live_bytes.unwrap();
    assert!((MIB..=1 << 30).contains(&max));
    assert_eq!(stats.config.segment_bytes, 64 * KIB);
}

#[test]
fn next_tick_is_the_interval_within_a_fifth() {
    let pool = pool();
    for _ in 0..100 {
        let wait = pool.next_tick();
        assert!(wait >= Duration::from_millis(800) && wait <= Duration::from_millis(1200), "{wait:?}");
    }
}

#[test]
fn frames_that_a_consumer_keeps_for_ever_pin_no_more_than_the_bound() {
    let pool = Pool::new(defaults().segment_bytes(PINNED)).unwrap();
    let mut writer = pool.writer();
    let mut kept = Vec::new();
    for consumer in 0..sized(1000, 40) {
        write(&mut writer, &content(50, consumer));
        kept.extend(frames(&mut sealed(&mut writer)));
        write_a_segment(&mut writer);
        let stats = pool.stats();
        assert!(stats.pinned_bytes <= 8 * MIB + 4 * stats.live_bytes, "turn {consumer}: {stats:?}");
    }
    for (consumer, frame) in kept.iter().enumerate() {
        assert_eq!(frame, &content(50, consumer));
    }
}

/// Guarantee M-06.
#[test]
fn a_frame_alone_holds_at_most_four_times_its_length_whatever_its_hint() {
    for segment_bytes in [4 * KIB, 64 * KIB] {
        let pool = Pool::new(defaults().segment_bytes(segment_bytes)).unwrap();
        let mut writer = pool.writer();
        let lens = [3 * KIB, 20 * KIB, 33 * KIB, 65 * KIB, 257 * KIB, 641 * KIB, 3 * MIB, 17 * MIB];
        for len in lens.into_iter().take(sized(8, 5)) {
            for hint in [0, len, 16 * MIB, usize::MAX].into_iter().take(sized(4, 2)) {
                writer.begin(hint);
                content(len, 1).chunks(5000).for_each(|part| writer.put(part));
                writer.commit();
                for batch in sealed(&mut writer) {
                    assert!(batch.is_shared() || batch.pins() <= 4 * len + 4 * KIB, "{len}: {}", batch.pins());
                    assert_eq!(batch.bytes()[..], content(len, 1));
                }
            }
        }
    }
}

/// Guarantee L-12.
#[test]
fn lengths_near_the_end_of_the_address_space_are_refused_not_wrapped() {
    let pool = pool();
    for below in [0, 1, 63, 64, 4095, 4096, 65_536] {
        let huge = usize::MAX - below;
        assert!(matches!(pool.try_acquire(huge).err(), Some(PoolError::Oversized { len, .. }) if len == huge));
        let mut body = pool.inbound_body(Some(huge), usize::MAX).unwrap();
        body.push(b"little").unwrap();
        assert!(pool.stats().held_bytes <= 64 * KIB);
        assert_eq!(body.finish(), b"little"[..]);
        let mut writer = pool.writer();
        let reserve = std::panic::AssertUnwindSafe(|| writer.reserve(huge).len());
        assert!(std::panic::catch_unwind(reserve).is_err());
    }
    assert_eq!(pool.stats().held_bytes, 0);
}

#[test]
fn ticks_of_many_processes_are_spread() {
    let pool = pool();
    let waits: Vec<_> = (0..200).map(|_| pool.next_tick()).collect();
    assert!(waits.iter().any(|wait| *wait < Duration::from_millis(900)));
    assert!(waits.iter().any(|wait| *wait > Duration::from_millis(1100)));
}

#[test]
fn one_large_lease_in_128_is_watched_and_none_that_is_untracked() {
    let pool = Pool::new(defaults().leak_after(seconds(60)).max_live_bytes(16 * MIB)).unwrap();
    let leases: Vec<_> = (0..256).map(|_| pool.acquire(1)).collect();
    assert_eq!(pool.stats().held_bytes, 16 * MIB);
    let untracked: Vec<_> = (0..256).map(|_| pool.acquire(1)).collect();
    pool.tick(Instant::now() + seconds(61));
    assert_eq!((pool.stats().leaks, pool.stats().fallbacks), (2, 256));
    drop((leases, untracked));
}

#[test]
fn only_tracked_buffers_beyond_the_classes_are_exact() {
    let pool = Pool::new(defaults().max_live_bytes(48 * MIB)).unwrap();
    let classed = pool.acquire(16 * MIB);
    assert_eq!(pool.stats().exact_bytes, 0);
    let exact = pool.acquire(16 * MIB + 1);
    let untracked = pool.acquire(17 * MIB);
    assert!(classed.is_tracked() && exact.is_tracked() && !untracked.is_tracked());
    assert_eq!((exact.capacity(), pool.stats().exact_bytes), (16 * MIB + 4 * KIB, 16 * MIB + 4 * KIB));
    drop((classed, exact, untracked));
    let stats = pool.stats();
    assert_eq!((stats.exact_bytes, stats.parked_bytes, stats.held_bytes), (0, 16 * MIB, 0));
}

#[test]
fn a_tick_half_an_interval_after_the_last_one_is_a_tick() {
    let pool = pool();
    drop((0..8).map(|_| pool.acquire(1)).collect::<Vec<_>>());
    let start = Instant::now();
    let parked_after = |millis| {
        pool.tick(start + Duration::from_millis(millis));
        pool.stats().classes[0].parked
    };
    assert_eq!([0, 499, 500, 999, 1000].map(parked_after), [8, 8, 4, 4, 2]);
}

#[test]
fn hits_and_misses_are_those_of_both_tiers() {
    let pool = pool();
    drop(pool.acquire(1));
    drop([pool.acquire(1), pool.acquire(1), pool.acquire(MIB)]);
    let mut writer = pool.writer();
    for _ in 0..4 {
        write_all(&mut writer, &vec![content(1000, 1); 100]);
        drop(sealed(&mut writer));
    }
    let stats = pool.stats();
    let large: (u64, u64) = stats.classes.iter().fold((0, 0), |sum, class| (sum.0 + class.hits, sum.1 + class.misses));
    assert_eq!(large, (1, 3));
    assert!(stats.segments.hits > 1 && stats.segments.misses > 1, "{stats:?}");
    assert_eq!((stats.hits, stats.misses), (1 + stats.segments.hits, 3 + stats.segments.misses));
    let smallest = stats.classes[0];
    assert_eq!((smallest.capacity, smallest.live, smallest.peak, smallest.parked), (64 * KIB, 0, 2, 2));
}
