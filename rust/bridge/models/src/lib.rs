//! Every interleaving of the bridge's hand-overs between threads, checked by loom; empty without `--cfg loom`.
#![cfg(all(test, loom))]

#[path = "../../src/worker/inbox.rs"]
mod inbox;
mod models;
mod sync;
