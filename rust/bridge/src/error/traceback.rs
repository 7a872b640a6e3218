//! The text of an exception's traceback, made where the exception is, so that no consumer has to keep its objects.

use std::time::{Duration, Instant};

use pyo3::intern;
use pyo3::prelude::*;

use crate::base::interpreter::object_of;
use crate::base::lock::{Mutex, lock};

/// Tracebacks with lines of source that are made in a second; to read them takes the loop's time.
const WITH_SOURCE: u32 = 10;

/// When the current second began, and how many were made in it.
static MADE: Mutex<Option<(Instant, u32)>> = Mutex::new(None);

fn may_read_source() -> bool {
    let mut made = lock(&MADE);
    let (since, count) =
        made.filter(|(since, _)| since.elapsed() < Duration::from_secs(1)).unwrap_or((Instant::now(), 0));
    *made = Some((since, count + 1));
    count < WITH_SOURCE
}

/// The traceback of `error`, at most 8 KiB: its head and its tail. `None` where even that raises.
pub(crate) fn text_of(py: Python<'_>, error: &PyErr) -> Option<Box<str>> {
    let render =
        py.import(intern!(py, "pybridge._traceback")).and_then(|module| module.getattr(intern!(py, "text_of")));
    let text = render.and_then(|render| render.call1((object_of(py, error), may_read_source()))).ok()?;
    text.extract::<String>().ok().map(String::into_boxed_str)
}
