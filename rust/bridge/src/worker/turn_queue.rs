//! The queue of tasks that have used up a step and could go on: in each turn of the loop they share a bounded time.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::time::{Duration, Instant};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::loop_calls::LoopCalls;
use super::wait_future::Wait;
use super::wake_batch::WakeBatch;
use crate::base::lock::{Mutex, MutexGuard, lock};

/// Time in one turn after which the rest of the queue waits for the next one: new calls, timers and the tasks of others wait no
/// longer than this and two steps, however many streams never wait for anything.
const TIME_PER_TURN: Duration = Duration::from_millis(1);

/// Where a request stands among those that are being decoded: by the bytes that had been decoded when it came plus its own.
///
/// Those of one size are decoded one after the other, which keeps one half-made tree in memory and not all of them. A smaller one
/// overtakes a larger one that came before, until the larger one has waited for as many bytes as it has more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DecodePlace {
    bytes: u64,
    number: u64,
}

#[derive(Default)]
struct Line {
    /// Streams of items, first come first served.
    waits: VecDeque<Py<Wait>>,
    decodes: BTreeMap<DecodePlace, Py<Wait>>,
    /// Bytes of requests decoded so far.
    decoded: u64,
    last_number: u64,
    /// The loop is going to call, or calls.
    is_scheduled: bool,
}

/// Tasks that could go on at once.
#[python_entry]
#[pyclass(frozen, module = "pybridge._pybridge")]
pub(crate) struct TurnQueue {
    wakes: Py<WakeBatch>,
    /// Locked with the interpreter held, and never while Python runs: the collector finds it free.
    line: Mutex<Line>,
}

impl TurnQueue {
    pub(super) fn new<'py>(wakes: &Bound<'py, WakeBatch>) -> PyResult<Bound<'py, Self>> {
        Bound::new(wakes.py(), Self { wakes: wakes.clone().unbind(), line: Mutex::default() })
    }

    /// The place of a request of so many bytes.
    pub(crate) fn place(&self, bytes: usize) -> DecodePlace {
        let mut line = self.line();
        line.last_number += 1;
        DecodePlace { bytes: line.decoded + bytes as u64, number: line.last_number }
    }

    /// Whether a request at `place` is the next to be decoded.
    pub(crate) fn is_first(&self, place: DecodePlace) -> bool {
        self.line().decodes.first_key_value().is_none_or(|(first, _)| place < *first)
    }

    /// So many bytes of a request were decoded.
    pub(crate) fn count_decoded(&self, bytes: usize) {
        self.line().decoded += bytes as u64;
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        lock(&self.line)
    }

    fn calls(&self) -> &LoopCalls {
        &self.wakes.get().calls
    }

    /// A future for the task that runs now, which resolves when its turn to make items has come. On the loop's thread only.
    pub(crate) fn wait<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::add(slf, |line, wait| {
            line.waits.push_back(wait);
            None
        })
    }

    /// The same for the turn to go on with decoding a request.
    pub(crate) fn wait_at<'py>(slf: &Bound<'py, Self>, place: DecodePlace) -> PyResult<Bound<'py, PyAny>> {
        Self::add(slf, |line, wait| line.decodes.insert(place, wait))
    }

    /// What `add` returns is dropped once the line is unlocked.
    fn add<'py>(
        slf: &Bound<'py, Self>,
        add: impl FnOnce(&mut Line, Py<Wait>) -> Option<Py<Wait>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let this = slf.get();
        let wait = Wait::new(this.wakes.bind(slf.py()))?;
        let (old, was_scheduled) = {
            let mut line = this.line();
            (add(&mut line, wait.clone().unbind()), mem::replace(&mut line.is_scheduled, true))
        };
        drop(old);
        if !was_scheduled {
            Self::schedule(slf)?;
        }
        Ok(wait.into_any())
    }

    fn schedule(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().calls().call_soon(slf, None).inspect_err(|_| {
            // The loop is closed: nobody will be called any more.
            let lost = mem::take(&mut *slf.get().line());
            drop(lost);
        })
    }

    /// Has the loop call again if anybody waits.
    fn go_on(slf: &Bound<'_, Self>) -> PyResult<()> {
        let is_scheduled = {
            let mut line = slf.get().line();
            line.is_scheduled = !line.waits.is_empty() || !line.decodes.is_empty();
            line.is_scheduled
        };
        if is_scheduled { Self::schedule(slf) } else { Ok(()) }
    }

    /// Lets one go on that decodes, then one of so many that make items. False: nobody did.
    fn step(slf: &Bound<'_, Self>, waiting: &mut usize) -> PyResult<bool> {
        let (py, this) = (slf.py(), slf.get());
        let decode = this.line().decodes.pop_first();
        if let Some((_, wait)) = &decode {
            Wait::resolve_at_once(wait.bind(py))?;
        }
        if *waiting == 0 {
            return Ok(decode.is_some());
        }
        *waiting -= 1;
        let next = this.line().waits.pop_front();
        if let Some(wait) = &next {
            Wait::resolve_at_once(wait.bind(py))?;
        }
        Ok(true)
    }
}

#[python_entry]
#[pymethods]
impl TurnQueue {
    /// Lets those go on who wait, while there is time; of those that make items each once at most. What raises ends the turn, as a
    /// callback of the loop does; the others go on in the next one.
    fn __call__(slf: &Bound<'_, Self>) -> PyResult<()> {
        let began = Instant::now();
        let mut waiting = slf.get().line().waits.len();
        let called = loop {
            match Self::step(slf, &mut waiting) {
                Ok(true) if began.elapsed() < TIME_PER_TURN => {}
                ended => break ended.map(drop),
            }
        };
        Self::go_on(slf)?;
        called
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.wakes)?;
        let Ok(line) = self.line.try_lock() else { return Ok(()) };
        line.waits.iter().chain(line.decodes.values()).try_for_each(|wait| visit.call(wait))
    }

    fn __clear__(&self) {
        let lost = mem::take(&mut *self.line());
        drop(lost);
    }
}
