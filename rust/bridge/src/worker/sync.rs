//! What [`inbox`](super::inbox) is made of; its models have loom's instead.

pub(super) use std::sync::atomic::{AtomicBool, Ordering, fence};

pub(super) use crossbeam_queue::SegQueue;
