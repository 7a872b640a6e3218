//! Any sequence of operations against a plain model.

mod support;

use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;
use pybridge_pool::{Batch, Pool, PooledBuf};
use support::{content, sized, tight};

#[derive(Debug, Clone)]
enum Step {
    Frame(usize),
    Hinted(usize, usize),
    Failed(usize),
    Share(usize),
    Seal,
    CopyOut(usize),
    Slice(usize, usize),
    DropBatch(usize),
    DropSlice(usize),
    Inbound(usize),
    DropInbound(usize),
    Acquire(usize),
    DropBuffer(usize),
    Tick(u64),
    Trim,
    OverPinned,
}

fn length() -> impl Strategy<Value = usize> {
    prop_oneof![8 => 0..200_usize, 4 => 0..5000_usize, 2 => 30_000..70_000_usize, 1 => 200_000..1_500_000_usize]
}

fn step() -> impl Strategy<Value = Step> {
    let any_index = || 0..64_usize;
    prop_oneof![
        10 => length().prop_map(Step::Frame),
        3 => (length(), length()).prop_map(|(hint, len)| Step::Hinted(hint, len)),
        3 => length().prop_map(Step::Failed),
        1 => length().prop_map(Step::Share),
        8 => Just(Step::Seal),
        2 => any_index().prop_map(Step::CopyOut),
        3 => (any_index(), any_index()).prop_map(|(batch, frame)| Step::Slice(batch, frame)),
        6 => any_index().prop_map(Step::DropBatch),
        3 => any_index().prop_map(Step::DropSlice),
        2 => length().prop_map(Step::Inbound),
        2 => any_index().prop_map(Step::DropInbound),
        2 => length().prop_map(Step::Acquire),
        2 => any_index().prop_map(Step::DropBuffer),
        2 => (0..3_u64).prop_map(Step::Tick),
        1 => Just(Step::Trim),
        1 => Just(Step::OverPinned),
    ]
}

/// What should be there.
#[derive(Default)]
struct Model {
    open: Vec<Vec<u8>>,
    batches: Vec<(Batch, Vec<Vec<u8>>)>,
    slices: Vec<(Bytes, Vec<u8>)>,
    inbound: Vec<(Bytes, Vec<u8>)>,
    buffers: Vec<PooledBuf>,
}

/// Removes the entry that `index` falls on, if there is any.
fn take<T>(items: &mut Vec<T>, index: usize) -> Option<T> {
    let len = items.len();
    (len > 0).then(|| items.swap_remove(index % len))
}

impl Model {
    fn sealed(&mut self, batch: Batch) {
        let rest = self.open.split_off(batch.frames());
        let frames = std::mem::replace(&mut self.open, rest);
        self.batches.push((batch, frames));
    }

    fn check_contents(&self) {
        for (batch, frames) in &self.batches {
            assert_eq!(batch.frames(), frames.len());
            for (index, frame) in frames.iter().enumerate() {
                assert_eq!(&batch.bytes()[batch.range(index).unwrap()], frame);
            }
        }
        for (bytes, expected) in self.slices.iter().chain(&self.inbound) {
            assert_eq!(bytes, expected);
        }
    }

    fn heap_inbound(&self) -> usize {
        self.inbound.iter().map(|(_, body)| body.len()).filter(|&len| len <= 32 << 10).sum()
    }
}

fn check_accounts(pool: &Pool, model: &Model) {
    let stats = pool.stats();
    let config = &stats.config;
    assert!(stats.parked_bytes <= config.small_parked_bytes + config.large_parked_bytes);
    assert!(stats.held_bytes <= config.max_live_bytes.unwrap());
    assert!(stats.inbound_bytes <= config.max_live_bytes.unwrap() / 2);
    assert!(stats.peak_bytes >= stats.held_bytes);
    let segments = stats.segments.misses as usize * config.segment_bytes;
    let large: usize = stats.classes.iter().map(|class| class.misses as usize * class.capacity).sum();
    let released = stats.released;
    let gone = released.decay + released.idle + released.trim + released.cap;
    let leased = stats.held_bytes - model.heap_inbound() - stats.exact_bytes;
    assert_eq!(segments + large, leased + stats.parked_bytes + gone, "live + parked + released = taken: {stats:?}");
}

fn run(steps: Vec<Step>) {
    let pool = Pool::new(tight()).unwrap();
    let mut writer = pool.writer();
    let mut model = Model::default();
    let mut now = Instant::now();
    for (seed, step) in steps.into_iter().enumerate() {
        match step {
            Step::Frame(len) | Step::Hinted(_, len) => {
                let frame = content(len, seed);
                writer.begin(if let Step::Hinted(hint, _) = step { hint } else { 0 });
                for (turn, part) in frame.chunks(7 + len / 10).enumerate() {
                    match turn % 3 {
                        0 => writer.put(part),
                        1 => writer.put_with(part.len() + 9, |room| {
                            room[..part.len()].copy_from_slice(part);
                            part.len()
                        }),
                        _ => {
                            writer.reserve(part.len())[..part.len()].copy_from_slice(part);
                            writer.advance(part.len());
                        }
                    }
                }
                assert_eq!(writer.frame_len(), len);
                assert_eq!(writer.frame_mut(), frame);
                writer.commit();
                model.open.push(frame);
            }
            Step::Failed(len) => {
                writer.begin(0);
                writer.put(&vec![0xEE; len]);
                writer.abort();
                assert_eq!(writer.frame_len(), 0);
            }
            Step::Share(len) => {
                let frame = content(len, seed);
                writer.share(Bytes::from(frame.clone()));
                model.open.push(frame);
            }
            Step::Seal => {
                writer.seal(|batch| model.sealed(batch));
                assert!(model.open.is_empty());
            }
            Step::CopyOut(index) => {
                if let Some((mut batch, frames)) = take(&mut model.batches, index) {
                    pool.unpin(&mut batch);
                    assert!(!batch.is_shared());
                    model.batches.push((batch, frames));
                }
            }
            Step::Slice(index, frame) => {
                if let Some((mut batch, frames)) = take(&mut model.batches, index) {
                    let frame = frame % frames.len();
                    model.slices.push((batch.frame(frame).unwrap(), frames[frame].clone()));
                    assert_eq!(batch.frame(frames.len()), None);
                }
            }
            Step::DropBatch(index) => drop(take(&mut model.batches, index)),
            Step::DropSlice(index) => drop(take(&mut model.slices, index)),
            Step::Inbound(len) => {
                let body = content(len, seed);
                if let Ok(inbound) = pool.inbound(&body) {
                    model.inbound.push((inbound, body));
                }
            }
            Step::DropInbound(index) => drop(take(&mut model.inbound, index)),
            Step::Acquire(len) => model.buffers.extend(pool.try_acquire(len).ok()),
            Step::DropBuffer(index) => drop(take(&mut model.buffers, index)),
            Step::Tick(seconds) => {
                now += Duration::from_secs(seconds);
                pool.tick(now);
            }
            Step::Trim => {
                pool.trim();
            }
            Step::OverPinned => assert!(!pool.over_pinned(), "2 MiB are under the allowance"),
        }
        check_accounts(&pool, &model);
    }
    model.check_contents();
    drop((model, writer));
    pool.trim();
    let stats = pool.stats();
    assert_eq!((stats.live_bytes, stats.held_bytes, stats.parked_bytes, stats.pinned_bytes), (0, 0, 0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: sized(192, 4) as u32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn accounts_and_contents_hold_for_any_sequence(steps in prop::collection::vec(step(), 1..sized(120, 30))) {
        run(steps);
    }
}
