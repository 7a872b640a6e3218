//! Any frame sizes in any drop order: every frame holds what was written, every account comes back to zero.
#![no_main]

use std::thread;
use std::time::{Duration, Instant};

use arbitrary::Arbitrary;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use pybridge_pool::{Batch, Pool, PoolConfig, PooledBuf, Writer};

/// Largest frame: past the largest class of a tight pool, small enough for many a second.
const MAX_FRAME: usize = 3 << 20;

#[derive(Debug, Arbitrary)]
struct Setup {
    segment_pages: u8,
    small_parked: u16,
    large_parked: u32,
    max_live: u32,
    zero_on_reuse: bool,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Len {
    Tiny(u8),
    Small(u16),
    Large {
        units: u16,
        rest: u8,
    },
    /// So far below the end of the address space.
    Huge(u16),
}

impl Len {
    fn bytes(self) -> usize {
        match self {
            Self::Tiny(len) => len.into(),
            Self::Small(len) => len.into(),
            Self::Large { units, rest } => (usize::from(units) * 64 + usize::from(rest)) % MAX_FRAME,
            Self::Huge(below) => usize::MAX - usize::from(below),
        }
    }

    /// A length that a frame can have.
    fn frame(self) -> usize {
        if let Self::Huge(below) = self { below.into() } else { self.bytes() }
    }
}

#[derive(Debug, Arbitrary)]
enum Step {
    Frame { writer: u8, hint: Len, len: Len, parts: u8 },
    Failed { writer: u8, len: Len },
    Share { writer: u8, len: Len },
    Seal { writer: u8 },
    CopyOut { batch: u8 },
    Slice { batch: u8, frame: u8 },
    Inbound { declared: Option<Len>, max: Len, len: Len, pieces: u8 },
    Acquire { len: Len },
    DropBatch { batch: u8, elsewhere: bool },
    DropSlice { slice: u8 },
    DropBuffer { buffer: u8 },
    DropWriter { writer: u8 },
    Tick { seconds: u8 },
    Trim,
    Pins,
}

struct Open {
    writer: Writer,
    frames: Vec<Vec<u8>>,
}

#[derive(Default)]
struct Held {
    batches: Vec<(Batch, Vec<Vec<u8>>)>,
    bytes: Vec<(Bytes, Vec<u8>)>,
    buffers: Vec<PooledBuf>,
}

/// Never the poison of a returned buffer.
fn content(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|at| ((at * 7 + seed * 31) % 0xA5) as u8).collect()
}

fn take<T>(items: &mut Vec<T>, index: u8) -> Option<T> {
    let len = items.len();
    (len > 0).then(|| items.swap_remove(usize::from(index) % len))
}

fn write(open: &mut Open, hint: usize, frame: Vec<u8>, parts: u8) {
    open.writer.begin(hint);
    for part in frame.chunks(1 + frame.len() / (1 + usize::from(parts))) {
        open.writer.put(part);
    }
    assert_eq!(open.writer.frame_mut(), frame);
    open.writer.commit();
    open.frames.push(frame);
}

fn seal(open: &mut Open, held: &mut Held) {
    let frames = &mut open.frames;
    open.writer.seal(|batch| {
        let rest = frames.split_off(batch.frames());
        let sealed = std::mem::replace(frames, rest);
        assert!(batch.frames() != 1 || batch.is_shared() || batch.pins() <= 4 * batch.bytes().len() + 4096);
        held.batches.push((batch, sealed));
    });
    assert!(open.frames.is_empty());
}

fn check(batch: &Batch, frames: &[Vec<u8>]) {
    assert_eq!(batch.frames(), frames.len());
    for (index, frame) in frames.iter().enumerate() {
        assert_eq!(batch.bytes()[batch.range(index).expect("in range")], frame[..]);
    }
}

fn step(pool: &Pool, writers: &mut Vec<Open>, held: &mut Held, now: &mut Instant, seed: usize, step: Step) {
    let count = writers.len();
    let at = |writer: u8| usize::from(writer) % count;
    match step {
        Step::Frame { writer, hint, len, parts } => {
            let open = &mut writers[at(writer)];
            write(open, hint.bytes(), content(len.frame(), seed), parts);
        }
        Step::Failed { writer, len } => {
            let writer = &mut writers[at(writer)].writer;
            writer.begin(0);
            writer.put(&vec![0xEE; len.frame()]);
            writer.abort();
        }
        Step::Share { writer, len } => {
            let open = &mut writers[at(writer)];
            let frame = content(len.frame(), seed);
            open.writer.share(Bytes::from(frame.clone()));
            open.frames.push(frame);
        }
        Step::Seal { writer } => seal(&mut writers[at(writer)], held),
        Step::CopyOut { batch } => {
            if let Some((mut batch, frames)) = take(&mut held.batches, batch) {
                pool.unpin(&mut batch);
                assert!(!batch.is_shared());
                held.batches.push((batch, frames));
            }
        }
        Step::Slice { batch, frame } => {
            if let Some((mut batch, frames)) = take(&mut held.batches, batch) {
                let frame = usize::from(frame) % frames.len();
                held.bytes.push((batch.frame(frame).expect("in range"), frames[frame].clone()));
                check(&batch, &frames);
            }
        }
        Step::Inbound { declared, max, len, pieces } => {
            let body = content(len.frame(), seed);
            let Ok(mut inbound) = pool.inbound_body(declared.map(Len::bytes), max.bytes()) else { return };
            for piece in body.chunks(1 + body.len() / (1 + usize::from(pieces))) {
                if inbound.push(piece).is_err() {
                    break;
                }
            }
            let arrived = inbound.len();
            held.bytes.push((inbound.finish(), body[..arrived].to_vec()));
        }
        Step::Acquire { len } => held.buffers.extend(pool.try_acquire(len.bytes()).ok()),
        Step::DropBatch { batch, elsewhere } => {
            if let Some((batch, frames)) = take(&mut held.batches, batch) {
                check(&batch, &frames);
                if elsewhere {
                    thread::spawn(move || drop(batch)).join().expect("a drop does not panic");
                }
            }
        }
        Step::DropSlice { slice } => {
            if let Some((bytes, expected)) = take(&mut held.bytes, slice) {
                assert_eq!(bytes, expected);
            }
        }
        Step::DropBuffer { buffer } => drop(take(&mut held.buffers, buffer)),
        Step::DropWriter { writer } => {
            let index = at(writer);
            seal(&mut writers[index], held);
            writers[index].writer = pool.writer();
        }
        Step::Tick { seconds } => {
            *now += Duration::from_secs(seconds.into());
            pool.tick(*now);
        }
        Step::Trim => drop(pool.trim()),
        Step::Pins => drop(pool.over_pinned()),
    }
}

fuzz_target!(|input: (Setup, Vec<Step>)| {
    let (setup, steps) = input;
    let config = PoolConfig::default()
        .segment_bytes(4096 * (1 + usize::from(setup.segment_pages % 16)))
        .small_parked_bytes(setup.small_parked.into())
        .large_parked_bytes(setup.large_parked as usize % (8 << 20))
        .max_live_bytes(1 + setup.max_live as usize % (16 << 20))
        .zero_on_reuse(setup.zero_on_reuse);
    let pool = Pool::new(config.clone()).expect("within bounds");
    let mut writers: Vec<_> = (0..3).map(|_| Open { writer: pool.writer(), frames: Vec::new() }).collect();
    let mut held = Held::default();
    let mut now = Instant::now();
    for (seed, next) in steps.into_iter().take(256).enumerate() {
        step(&pool, &mut writers, &mut held, &mut now, seed, next);
        let stats = pool.stats();
        assert!(stats.parked_bytes <= config.small_parked_bytes + config.large_parked_bytes);
        assert!(stats.held_bytes <= config.max_live_bytes.expect("set above"));
    }
    for (batch, frames) in &held.batches {
        check(batch, frames);
    }
    for (bytes, expected) in &held.bytes {
        assert_eq!(bytes, expected);
    }
    drop((held, writers));
    pool.trim();
    let stats = pool.stats();
    assert_eq!((stats.live_bytes, stats.held_bytes, stats.parked_bytes, stats.pinned_bytes), (0, 0, 0, 0));
});
