//! Every interleaving of the bridge's hand-overs between threads, checked by loom; empty without `--cfg loom`.
#![cfg(all(test, loom))]

#[path = "../../src/worker/alarm.rs"]
mod alarm;
#[path = "../../src/worker/inbox.rs"]
mod inbox;
#[path = "../../src/worker/lendable.rs"]
mod lendable;
mod models;
mod relief;
mod sync;
