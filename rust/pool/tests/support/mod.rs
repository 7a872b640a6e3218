//! Steps that the tests share.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "every test binary uses some of it")]

use bytes::Bytes;
use pybridge_pool::{Batch, Pool, PoolConfig, Writer};

pub fn pool() -> Pool {
    Pool::new(PoolConfig::default()).expect("the defaults are valid")
}

pub fn write(writer: &mut Writer, frame: &[u8]) {
    writer.begin(0);
    frame.chunks(13 + frame.len() / 64).for_each(|part| writer.put(part));
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

pub fn content(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|i| ((i * 7 + seed * 13) % 251 % 0xA5) as u8).collect()
}

/// A small pool, so that limits are near.
pub fn tight() -> PoolConfig {
    PoolConfig {
        segment_bytes: 4 << 10,
        small_parked_bytes: 32 << 10,
        large_parked_bytes: 512 << 10,
        max_live_bytes: Some(2 << 20),
        ..PoolConfig::default()
    }
}
