//! The state of one pass over a Python object: limits, the path of a failure, nested stand-ins.

use std::cell::{Cell, RefCell};

use pyo3::prelude::*;
use serde::{Serialize, Serializer};

use super::encoder::Writing;
use super::path::{Path, Segment};
use super::snapshot::Held;
use super::value::Value;
use crate::codec::Limits;
use crate::codec::error::EncodeError;
use crate::codec::stack_limit::{self, Room, THREAD};
use crate::interp::said;

/// What went wrong, before it is known where.
#[derive(Debug)]
pub(super) enum Failure {
    Value(String),
    Limit(&'static str, String),
    Raised(String, PyErr),
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Self::Raised(said(&error), error)
    }
}

/// The state of one walk.
pub(super) struct Walk<'a, 'py> {
    pub(super) py: Python<'py>,
    pub(super) writing: &'a Writing<'a>,
    /// Holds what containers hold while they are written, so that Python code may run.
    pub(super) hold: bool,
    pub(super) held: Held<'py>,
    /// Times that Python code may have run.
    runs: Cell<usize>,
    /// Containers that encodings around this one have open on this thread.
    around: usize,
    depth: usize,
    /// Containers that may open before the stack is looked at for each; once that is done, they are fewer than none.
    free: Cell<isize>,
    /// What `free` was when none was open.
    granted: isize,
    room: Room,
    nodes_left: Cell<usize>,
    stand_ins: Cell<usize>,
    failure: RefCell<Option<Failure>>,
    path: RefCell<Path>,
}

/// What a `default` hook or an enum gives instead of an object may itself need that; this often.
const MAX_STAND_INS: usize = 32;

/// Containers that all encodings inside one another on a thread may have open.
const MAX_OPEN: usize = Limits::MAX_DEPTH;

/// What the Python code between two of them counts.
const CODE: usize = 12;

impl Drop for Walk<'_, '_> {
    fn drop(&mut self) {
        if self.runs.get() > 0 {
            THREAD.with(|thread| thread.open.set(self.around));
        }
    }
}

impl<'a, 'py> Walk<'a, 'py> {
    pub(super) fn new(py: Python<'py>, writing: &'a Writing<'a>, hold: bool) -> Self {
        let (around, (room, fit)) = THREAD.with(|thread| (thread.open.get(), Room::for_containers(thread)));
        let depth = writing.limits.max_depth.min(MAX_OPEN.saturating_sub(around));
        // Where Python code runs between two containers, nobody knows what they take.
        let granted = if hold { 0 } else { depth.min(fit).cast_signed() };
        Self {
            py,
            writing,
            hold,
            held: Held::default(),
            runs: Cell::new(0),
            around,
            depth,
            free: Cell::new(granted),
            granted,
            room,
            nodes_left: Cell::new(writing.limits.max_nodes.saturating_sub(1)),
            stand_ins: Cell::new(0),
            failure: RefCell::new(None),
            path: RefCell::default(),
        }
    }

    /// The walk's root.
    pub(super) fn root(&self, item: &'a Bound<'py, PyAny>) -> Value<'_, 'a, 'py> {
        Value::new(self, item.as_ptr())
    }

    /// Asks whether Python code may run now; if not, the walk fails, to be begun again with `hold`.
    pub(super) fn run<E: serde::ser::Error>(&self) -> Result<(), E> {
        self.runs.set(self.runs.get() + 1);
        let open = self.around + self.open() + CODE;
        if self.around > 0 && open > MAX_OPEN {
            return Err(self.fail(Self::too_many_around()));
        }
        if !self.room.holds(stack_limit::FOR_CODE) {
            return Err(self.fail(Self::too_small_a_stack()));
        }
        THREAD.with(|thread| thread.open.set(open));
        if self.hold { Ok(()) } else { Err(E::custom("")) }
    }

    /// How often [`run`](Self::run) was asked.
    pub(super) fn runs(&self) -> usize {
        self.runs.get()
    }

    /// What a failed walk has to say; `format` is the serializer's own reason.
    pub(super) fn to_error(&self, format: &dyn std::fmt::Display) -> EncodeError {
        let steps = self.path.take();
        let path = steps.to_string();
        match self.failure.take() {
            Some(Failure::Value(reason)) => EncodeError::Value { path, reason },
            Some(Failure::Limit(limit, reason)) => match steps.cycle() {
                Some((open, met)) => EncodeError::Limit { limit, path: met, reason: format!("{open} contains itself") },
                None => EncodeError::Limit { limit, path, reason },
            },
            Some(Failure::Raised(reason, error)) => EncodeError::Raised { path, reason, error },
            None => EncodeError::Value { path, reason: format.to_string() },
        }
    }

    #[cold]
    pub(super) fn fail<E: serde::ser::Error>(&self, failure: Failure) -> E {
        self.failure.borrow_mut().get_or_insert(failure);
        E::custom("")
    }

    #[cold]
    pub(super) fn changed<E: serde::ser::Error>(&self) -> E {
        self.fail(Failure::Value("container changed while it was encoded".into()))
    }

    #[cold]
    pub(super) fn at<E>(&self, segment: Segment, container: usize, error: E) -> E {
        self.path.borrow_mut().push(segment, container);
        error
    }

    /// Counts a container of `len` values that opens.
    #[inline]
    pub(super) fn enter<E: serde::ser::Error>(&self, len: usize) -> Result<(), E> {
        let (free, nodes) = (self.free.get(), self.nodes_left.get());
        if free <= 0 || nodes < len {
            self.look(nodes < len)?;
        }
        debug_assert!(
            free <= 0 || free.cast_unsigned() <= self.room.containers().saturating_add(1),
            "a container takes more of the stack than it is thought to"
        );
        self.free.set(free - 1);
        self.nodes_left.set(nodes - len);
        Ok(())
    }

    #[inline]
    pub(super) fn leave(&self) {
        self.free.set(self.free.get() + 1);
    }

    /// Containers that are open.
    fn open(&self) -> usize {
        (self.granted - self.free.get()).cast_unsigned()
    }

    /// Whether one more may open, after all.
    #[cold]
    #[inline(never)]
    fn look<E: serde::ser::Error>(&self, too_many: bool) -> Result<(), E> {
        let Limits { max_depth, max_nodes, .. } = self.writing.limits;
        let failure = if !self.room.holds(0) {
            Self::too_small_a_stack()
        } else if self.open() < self.depth && !too_many {
            return Ok(());
        } else if self.open() < self.depth {
            Failure::Limit("max_nodes", format!("more than {max_nodes} values"))
        } else if self.depth < *max_depth {
            Self::too_many_around()
        } else {
            Failure::Limit("max_depth", format!("more than {max_depth} containers inside one another"))
        };
        Err(self.fail(failure))
    }

    fn too_many_around() -> Failure {
        let reason = format!("more than {MAX_OPEN} containers, those of encodings around this one included");
        Failure::Limit("max_depth", reason)
    }

    fn too_small_a_stack() -> Failure {
        Failure::Limit("max_depth", stack_limit::TOO_SMALL.into())
    }

    #[cold]
    pub(super) fn refuse<E: serde::ser::Error>(&self, reason: String) -> E {
        self.fail(Failure::Value(reason))
    }

    #[cold]
    pub(super) fn raised<E: serde::ser::Error>(&self, error: PyErr) -> E {
        self.fail(error.into())
    }

    /// Serializes what stands for an object.
    pub(super) fn stand_in<S: Serializer>(&self, instead: &Bound<'py, PyAny>, to: S) -> Result<S::Ok, S::Error> {
        self.check_stand_ins(instead)?;
        let nested = self.stand_ins.get();
        self.stand_ins.set(nested + 1);
        let done = Value::new(self, instead.as_ptr()).serialize(to);
        self.stand_ins.set(nested);
        done
    }

    pub(super) fn check_stand_ins<E: serde::ser::Error>(&self, next: &Bound<'py, PyAny>) -> Result<(), E> {
        if self.stand_ins.get() < MAX_STAND_INS {
            return Ok(());
        }
        Err(self.refuse(format!(
            "more than {MAX_STAND_INS} nested answers of default= or values of enums, the last of type {}",
            type_name(next)
        )))
    }
}

/// The name of an object's type with its module.
#[cold]
pub(super) fn type_name(object: &Bound<'_, PyAny>) -> String {
    object.get_type().fully_qualified_name().map_or_else(|_| "?".into(), |name| name.to_string())
}
