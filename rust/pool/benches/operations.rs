//! Single operations of the pool beside malloc, `BytesMut`, `ArrayQueue` and another pool crate.
//!
//! `cargo bench -p pybridge-pool --bench operations`

#![allow(
    missing_docs,
    clippy::wildcard_imports,
    reason = "benchmarks are found by name, in groups that share one set-up"
)]

use std::sync::mpsc;
use std::thread;

use bytes::{BufMut, Bytes, BytesMut};
use crossbeam_queue::ArrayQueue;
use divan::{Bencher, black_box};
use opool::PoolAllocator;
use pybridge_pool::{Pool, PoolConfig, Writer};

const FRAME: [u8; 512] = [7; 512];
const MIB: usize = 1 << 20;

fn main() {
    divan::main();
}

fn pool(large_parked_bytes: usize) -> Pool {
    let config = PoolConfig::default().large_parked_bytes(large_parked_bytes);
    Pool::new(config).expect("a valid configuration")
}

fn frame(writer: &mut Writer) {
    writer.begin(0);
    writer.put(black_box(&FRAME));
    writer.commit();
}

struct Buffers;

impl PoolAllocator<Vec<u8>> for Buffers {
    fn allocate(&self) -> Vec<u8> {
        Vec::with_capacity(MIB)
    }

    fn reset(&self, buffer: &mut Vec<u8>) {
        buffer.clear();
    }
}

/// Take, fill, give back on one thread.
#[divan::bench_group]
mod same_thread {
    use super::*;

    #[divan::bench(args = [1, 16, 64])]
    fn writer_sealed_by(bencher: Bencher<'_, '_>, frames: usize) {
        let mut writer = pool(0).writer();
        bencher.counter(divan::counter::ItemsCount::new(frames)).bench_local(|| {
            (0..frames).for_each(|_| frame(&mut writer));
            writer.seal(|mut batch| drop(black_box(batch.frame(0))));
        });
    }

    #[divan::bench]
    fn bytes_mut_split_freeze_reclaim(bencher: Bencher<'_, '_>) {
        let mut segment = BytesMut::with_capacity(64 << 10);
        bencher.bench_local(|| {
            if segment.capacity() < FRAME.len() && !segment.try_reclaim(64 << 10) {
                segment = BytesMut::with_capacity(64 << 10);
            }
            segment.put_slice(black_box(&FRAME));
            drop(black_box(segment.split().freeze()));
        });
    }

    #[divan::bench]
    fn malloc_vec() {
        drop(black_box(black_box(&FRAME).to_vec()));
    }

    #[divan::bench]
    fn malloc_bytes_copy_from_slice() {
        drop(black_box(Bytes::copy_from_slice(black_box(&FRAME))));
    }

    #[divan::bench]
    fn array_queue_of_vec(bencher: Bencher<'_, '_>) {
        let queue = ArrayQueue::new(64);
        bencher.bench_local(|| {
            let mut buffer: Vec<u8> = queue.pop().unwrap_or_default();
            buffer.clear();
            buffer.extend_from_slice(black_box(&FRAME));
            drop(queue.push(black_box(buffer)));
        });
    }

    #[divan::bench]
    fn opool_of_vec(bencher: Bencher<'_, '_>) {
        let buffers = opool::Pool::new(64, Buffers);
        bencher.bench_local(|| {
            let mut buffer = buffers.get();
            buffer.extend_from_slice(black_box(&FRAME));
            drop(black_box(buffer));
        });
    }
}

/// 64 frames made here and dropped on another thread, the hand-over included.
#[divan::bench_group]
mod cross_thread {
    use super::*;

    const FRAMES: usize = 64;

    fn with_dropper<T: Send + 'static>(bencher: Bencher<'_, '_>, mut make: impl FnMut() -> Vec<T>) {
        let (sender, receiver) = mpsc::sync_channel::<Vec<T>>(64);
        let dropper = thread::spawn(move || receiver.iter().for_each(drop));
        bencher
            .counter(divan::counter::ItemsCount::new(FRAMES))
            .bench_local(|| sender.send(make()).expect("the dropper lives"));
        drop(sender);
        dropper.join().expect("the dropper does not panic");
    }

    #[divan::bench]
    fn writer_sealed_by_64(bencher: Bencher<'_, '_>) {
        let mut writer = pool(0).writer();
        with_dropper(bencher, || {
            (0..FRAMES).for_each(|_| frame(&mut writer));
            let mut batches = Vec::with_capacity(2);
            writer.seal(|batch| batches.push(batch));
            batches
        });
    }

    #[divan::bench]
    fn malloc_vec(bencher: Bencher<'_, '_>) {
        with_dropper(bencher, || (0..FRAMES).map(|_| black_box(&FRAME).to_vec()).collect());
    }

    #[divan::bench]
    fn malloc_bytes_copy_from_slice(bencher: Bencher<'_, '_>) {
        with_dropper(bencher, || (0..FRAMES).map(|_| Bytes::copy_from_slice(black_box(&FRAME))).collect());
    }
}

/// 1 MiB: take, fill, freeze, drop.
#[divan::bench_group]
mod large {
    use super::*;

    fn fill(bencher: Bencher<'_, '_>, pool: &Pool) {
        let payload = vec![7; MIB];
        bencher.bench_local(|| {
            let mut buffer = pool.acquire(MIB);
            buffer.put(black_box(&payload));
            drop(black_box(buffer.freeze()));
        });
    }

    #[divan::bench]
    fn hit(bencher: Bencher<'_, '_>) {
        fill(bencher, &pool(32 << 20));
    }

    #[divan::bench]
    fn miss(bencher: Bencher<'_, '_>) {
        fill(bencher, &pool(0));
    }

    #[divan::bench]
    fn malloc_bytes_copy_from_slice(bencher: Bencher<'_, '_>) {
        let payload = vec![7; MIB];
        bencher.bench_local(|| drop(black_box(Bytes::copy_from_slice(black_box(&payload)))));
    }

    #[divan::bench]
    fn opool_of_vec(bencher: Bencher<'_, '_>) {
        let payload = vec![7; MIB];
        let buffers = opool::Pool::new(8, Buffers);
        bencher.bench_local(|| {
            let mut buffer = buffers.get();
            buffer.extend_from_slice(black_box(&payload));
            drop(black_box(buffer));
        });
    }

    /// Acquire and drop alone, nothing written.
    #[divan::bench]
    fn hit_without_fill(bencher: Bencher<'_, '_>) {
        let pool = pool(32 << 20);
        bencher.bench_local(|| drop(black_box(pool.acquire(MIB))));
    }
}
