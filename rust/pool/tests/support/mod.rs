//! Steps that the tests share.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "every test binary uses some of it")]

use bytes::Bytes;
use pybridge_pool::{Batch, Pool, PoolConfig, Writer};

/// A size or count of a test: `full`, or `in_miri`, which interprets and takes a thousand times as long.
pub const fn sized(full: usize, in_miri: usize) -> usize {
    if cfg!(miri) { in_miri } else { full }
}

/// The defaults; in Miri the ceiling is not read from files of the system.
pub fn defaults() -> PoolConfig {
    PoolConfig::default().max_live_bytes(cfg!(miri).then_some(1 << 30))
}

pub fn pool() -> Pool {
    Pool::new(defaults()).expect("the defaults are valid")
}

pub fn write(writer: &mut Writer, frame: &[u8]) {
    writer.begin(0);
    frame.chunks(13 + frame.len() / sized(64, 8)).for_each(|part| writer.put(part));
    writer.commit();
}

pub fn write_all(writer: &mut Writer, frames: &[Vec<u8>]) {
    for frame in frames {
        write(writer, frame);
    }
}

pub fn sealed(writer: &mut Writer) -> Vec<Batch> {
    let mut batches = Vec::new();
    writer.seal(|batch| batches.push(batch));
    batches
}

pub fn frames(batches: &mut [Batch]) -> Vec<Bytes> {
    let all = |batch: &mut Batch| (0..batch.frames()).map(|i| batch.frame(i).expect("in range")).collect::<Vec<_>>();
    batches.iter_mut().flat_map(all).collect()
}

/// Bytes that depend on `seed`, none of them the poison.
pub fn content(len: usize, seed: usize) -> Vec<u8> {
    let start = seed * 13 % PERIOD;
    let mut content = PATTERN[start..start + len.min(PERIOD)].to_vec();
    while content.len() < len {
        content.extend_from_within(..content.len().min(len - content.len()));
    }
    content
}

const PERIOD: usize = 251;

const PATTERN: [u8; 2 * PERIOD] = {
    let mut pattern = [0; 2 * PERIOD];
    let mut place = 0;
    while place < pattern.len() {
        pattern[place] = (place * 7 % PERIOD % 0xA5) as u8;
        place += 1;
    }
    pattern
};

/// A small pool, so that limits are near.
pub fn tight() -> PoolConfig {
    PoolConfig::default()
        .segment_bytes(4 << 10)
        .small_parked_bytes(32 << 10)
        .large_parked_bytes(512 << 10)
        .max_live_bytes(2 << 20)
}
