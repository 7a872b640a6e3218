//! An engine's `lifespan` on one worker: entered before the first request, left when the engine or the loop closes.

use std::collections::HashMap;
use std::sync::Arc;

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyCFunction;

use super::entering::{self, Entering};
use super::mailbox::Command;
use super::port::Port;
use crate::engine::{EngineCore, PyEngine};
use crate::stream::{self, StartRequest};

/// Lifespans on one worker, by engine.
pub(super) type Lifespans = HashMap<u64, Lifespan>;

/// One engine's lifespan on one worker.
pub(super) enum Lifespan {
    /// Its context manager is being entered; these requests wait for that. The future ends it.
    Entering { waiting: Vec<StartRequest>, stop: Py<PyAny>, entering: Entering },
    /// It is entered: what it yielded, and the future that ends it.
    Entered { state: Py<PyAny>, stop: Py<PyAny> },
}

impl Lifespan {
    pub(super) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(self.stop())?;
        if let Self::Entered { state, .. } = self { visit.call(state) } else { Ok(()) }
    }

    fn stop(&self) -> &Py<PyAny> {
        match self {
            Self::Entering { stop, .. } | Self::Entered { stop, .. } => stop,
        }
    }
}

/// Whether a request may go on.
pub(crate) enum Gate {
    /// It may.
    Open(StartRequest),
    /// It was put aside until the lifespan is entered.
    Waiting,
}

impl Gate {
    /// Looks whether the engine of `start` has a lifespan here, and has it entered at the first request.
    pub(crate) fn of(py: Python<'_>, port: &Bound<'_, Port>, start: StartRequest) -> PyResult<Self> {
        let engine = start.engine.get(py).bind(py).cast::<PyEngine>()?.clone();
        let Some(factory) = &engine.get().lifespan else { return Ok(Self::Open(start)) };
        let core = &engine.get().core;
        let stop = port.get().create_future(py)?;
        let number = {
            let Some(mut lifespans) = port.get().lifespans() else { return Ok(Self::Open(start)) };
            match lifespans.get_mut(&core.id) {
                Some(Lifespan::Entered { .. }) => return Ok(Self::Open(start)),
                Some(Lifespan::Entering { waiting, .. }) => {
                    waiting.push(start);
                    return Ok(Self::Waiting);
                }
                None => {
                    let entering = Entering::begin(core, &port.get().mailbox);
                    let number = entering.id();
                    let (waiting, stop) = (vec![start], stop.clone().unbind());
                    lifespans.insert(core.id, Lifespan::Entering { waiting, stop, entering });
                    number
                }
            }
        };
        if let Err(error) = port.get().hold(py, port, engine.get(), factory, &stop, number) {
            let value = crate::error::object_of(py, &error);
            port.get().entered(py, port, core.id, py.None(), Some(value));
        }
        Ok(Self::Waiting)
    }
}

impl Port {
    /// What the engine's lifespan yielded here, or None.
    pub(crate) fn lifespan_state(&self, py: Python<'_>, engine: &Arc<EngineCore>) -> Py<PyAny> {
        let lifespans = self.lifespans();
        match lifespans.as_ref().and_then(|lifespans| lifespans.get(&engine.id)) {
            Some(Lifespan::Entered { state, .. }) => state.clone_ref(py),
            _ => py.None(),
        }
    }

    /// Starts the asyncio task that keeps the context manager open, in a copy of the engine's context.
    fn hold(
        &self,
        py: Python<'_>,
        port: &Bound<'_, Self>,
        engine: &PyEngine,
        factory: &Py<PyAny>,
        stop: &Bound<'_, PyAny>,
        number: u64,
    ) -> PyResult<()> {
        let context = engine.copy_context(py)?;
        entering::mark(py, &context, number)?;
        let home = port.clone().unbind();
        let guard = engine.core.enter_lifespan();
        let id = engine.core.id;
        let entered = PyCFunction::new_closure(py, None, None, move |args, _keywords| {
            crate::parking::enter();
            let _held_by_the_task = &guard;
            let py = args.py();
            let (state, error): (Py<PyAny>, Option<Py<PyAny>>) = args.extract()?;
            home.get().entered(py, home.bind(py), id, state, error);
            PyResult::Ok(())
        })?;
        let arguments = (factory, entered, stop, &engine.core.name);
        let held = py.import("pybridge._worker")?.call_method1("hold_lifespan", arguments)?;
        self.create_task(py, held, context).map(drop)
    }

    /// The context manager was entered, or failed to be: requests that waited go on, or fail with it.
    fn entered(&self, py: Python<'_>, port: &Bound<'_, Self>, id: u64, state: Py<PyAny>, error: Option<Py<PyAny>>) {
        let (waiting, entering) = {
            let Some(mut lifespans) = self.lifespans() else { return };
            let Some(Lifespan::Entering { waiting, stop, entering }) = lifespans.remove(&id) else { return };
            if error.is_none() {
                lifespans.insert(id, Lifespan::Entered { state, stop });
            }
            (waiting, entering)
        };
        drop(entering);
        for start in waiting {
            match &error {
                None => stream::start(py, port, start),
                Some(error) => stream::fail(py, &start.core, &PyErr::from_value(error.bind(py).clone())),
            }
        }
    }
}

/// The engine is closed and its streams have ended: its lifespans end on every worker.
pub(crate) fn leave_lifespans(engine: u64) {
    for mailbox in super::watch::mailboxes() {
        let leave = Command::CallPort(Box::new(move |py, port| {
            let left = port.get().lifespans().and_then(|mut lifespans| lifespans.remove(&engine));
            if let Some(left) = left {
                Port::resolve(py, left.stop().bind(py), true);
            }
        }));
        drop(mailbox.post(leave));
    }
}
