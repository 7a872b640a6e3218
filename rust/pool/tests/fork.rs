//! After a fork the child gets nothing of the parent's memory; a binary of its own, because it forks.

#![allow(unsafe_code, reason = "fork and wait")]

mod support;

use pybridge_pool::{Pool, PoolError};
use support::{content, defaults, frames, sealed, write};

/// Runs `act` in a child and returns its exit status; 0 means that it returned true.
fn in_child(act: impl FnOnce() -> bool) -> i32 {
    // SAFETY: this binary runs one test on one thread besides the harness; the child only runs `act` and exits.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork");
    if pid == 0 {
        let code = i32::from(!act());
        // SAFETY: ends the child without running the harness's handlers.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: waits for the child made above.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!(waited, pid);
    status
}

fn refuses(pool: &Pool) -> bool {
    pool.try_acquire(1 << 20).err() == Some(PoolError::Forked)
        && pool.inbound(b"body").err() == Some(PoolError::Forked)
        && pool.trim() == 0
        && pool.stats().held_bytes == 0
        && pool.stats().config.segment_bytes == 32 << 10
}

/// Guarantee P-05.
#[test]
#[cfg_attr(miri, ignore = "Miri knows no fork")]
fn a_forked_child_is_refused_and_the_parent_is_untouched() {
    let pool = Pool::new(defaults().segment_bytes(32 << 10)).unwrap();
    let mut writer = pool.writer();
    drop(pool.acquire(1 << 20));
    let lease = pool.acquire(1 << 20);
    for seed in 0..200 {
        write(&mut writer, &content(1000, seed));
    }
    let mut batches = sealed(&mut writer);
    let before = pool.stats();
    let status = in_child(|| {
        let refused = refuses(&pool);
        for seed in 0..200 {
            write(&mut writer, &content(999, seed));
        }
        let written = frames(&mut sealed(&mut writer)).len() == 200;
        drop((lease, writer, pool.clone()));
        refused && written
    });
    assert_eq!(status, 0);
    let expected: Vec<_> = (0..200).map(|seed| content(1000, seed)).collect();
    assert_eq!(frames(&mut batches), expected);
    assert!(before.held_bytes > 0 && pool.stats().parked_bytes > 0);
}
