//! The table of the lifespans on one worker: one for each engine, and its stage.

use std::collections::HashMap;

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use tokio::sync::oneshot;

use super::lifespan_deadlock::Entering;
use crate::error::Failure;
use crate::state::StartRequest;

/// Lifespans on one worker, by engine.
pub(super) type Lifespans = HashMap<u64, Lifespan>;

/// One engine's lifespan on one worker.
pub(super) struct Lifespan {
    /// No other one of the process has it.
    pub(super) number: u64,
    pub(super) stage: Stage,
    /// The future that ends it.
    pub(super) stop: Py<PyAny>,
    /// The asyncio task that holds it, whose loop does not keep it; `None` while it is being made.
    pub(super) task: Option<Py<PyAny>>,
}

pub(super) enum Stage {
    /// Its context manager is being entered; these wait for that.
    Entering { waiting: Vec<Waiting>, entering: Entering },
    /// It is entered: what it yielded.
    Entered(Py<PyAny>),
    /// Its context manager is being left.
    Leaving,
}

impl Lifespan {
    pub(super) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.stop)?;
        visit.call(&self.task)?;
        if let Stage::Entered(state) = &self.stage { visit.call(state) } else { Ok(()) }
    }
}

/// What goes on once a lifespan is entered, or fails with it.
pub(super) enum Waiting {
    /// A request.
    Call(Box<StartRequest>),
    /// Somebody who serves the engine, and wants the exception itself if `raises`.
    Server { entered: oneshot::Sender<Entered>, raises: bool },
}

/// Whether a lifespan was entered; else what that failed with.
pub(crate) type Entered = Result<(), Box<Failure>>;
