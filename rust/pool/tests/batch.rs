//! What a batch of frames holds, and what it keeps from going home.

mod support;

use bytes::Bytes;
use pybridge_pool::{Batch, Writer};
use support::{content, pool, sealed, write, write_all};

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
        pool.tick(std::time::Instant::now() + std::time::Duration::from_secs(frames as u64));
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
