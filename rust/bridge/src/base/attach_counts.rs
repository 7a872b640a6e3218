//! Counters of attaches to the interpreter, by thread name.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::lock::{Mutex, lock};

/// Attaches by thread name; threads of the same name share a counter.
static COUNTERS: Mutex<Vec<(String, Arc<AtomicU64>)>> = Mutex::new(Vec::new());

thread_local! {
    static COUNTER: OnceCell<Arc<AtomicU64>> = const { OnceCell::new() };
}

fn counter_of(name: &str) -> Arc<AtomicU64> {
    let mut counters = lock(&COUNTERS);
    if let Some((_, counter)) = counters.iter().find(|(known, _)| known == name) {
        return Arc::clone(counter);
    }
    let counter = Arc::new(AtomicU64::new(0));
    counters.push((name.to_owned(), Arc::clone(&counter)));
    counter
}

/// Counts one return of the calling thread, which has this name, to the interpreter on pybridge's account.
pub(crate) fn count(name: &str) {
    COUNTER.with(|counter| counter.get_or_init(|| counter_of(name)).fetch_add(1, Ordering::Relaxed));
}

/// Attaches since the process began, by thread name.
pub(crate) fn attaches() -> HashMap<String, u64> {
    let counters = lock(&COUNTERS);
    counters.iter().map(|(name, counter)| (name.clone(), counter.load(Ordering::Relaxed))).collect()
}
