//! Reports of loops that stand still: the stack of the thread, logged once per stall by a thread of its own.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

use super::attach::try_attach;
use super::info::WorkerInfo;
use crate::base::lock::{Mutex, lock};
use crate::base::{log, runtime};

/// Longest wait, at exit, for reports that are being written.
const FINISH_TIMEOUT: Duration = Duration::from_millis(250);

/// Time between two looks at them.
const LOOK: Duration = Duration::from_millis(1);

static REPORTS: Mutex<Vec<JoinHandle<()>>> = Mutex::new(Vec::new());

/// Has the Python stack of the worker's thread logged, if its loop still stands when the interpreter can be had.
pub(super) fn report(info: &Arc<WorkerInfo>) {
    let info = Arc::clone(info);
    let write = move || {
        try_attach(|py| {
            if info.lag.stands()
                && !runtime::is_ending()
                && let Err(error) = write_stack(py, &info)
            {
                log::warning(py, "worker", "the stack of a loop that stands still could not be read", &error);
            }
        });
    };
    let mut reports = lock(&REPORTS);
    reports.retain(|report| !report.is_finished());
    if !runtime::is_ending() {
        reports.extend(thread::Builder::new().name("pybridge-stall".into()).spawn(write));
    }
}

fn write_stack(py: Python<'_>, info: &WorkerInfo) -> PyResult<()> {
    let arguments = (info.thread.load(Ordering::Relaxed), info.name.as_str());
    py.import("pybridge._worker")?.call_method1("report_stall", arguments).map(drop)
}

/// Waits for reports being written: their threads must not be inside the interpreter when it goes.
pub(crate) fn finish_reports(py: Python<'_>) {
    let reports = std::mem::take(&mut *lock(&REPORTS));
    let end = Instant::now() + FINISH_TIMEOUT;
    py.detach(|| {
        while reports.iter().any(|report| !report.is_finished()) && Instant::now() < end {
            thread::sleep(LOOK);
        }
    });
}
