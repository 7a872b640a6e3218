//! The state of one walk over a Python object: its settings, limits, captured references, and the path of a failure.

use std::cell::{Cell, RefCell};

use pybridge_base::exception::said;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::depth_limit::{DepthLimit, Passed};
use super::error_path::{Path, Segment};
use super::value::Value;
use crate::error::EncodeError;
use crate::{CodecSpec, Framing, Limits};

/// What one item is written with.
#[doc(hidden)]
#[derive(Debug)]
pub struct Writing<'a> {
    pub spec: &'a CodecSpec,
    pub framing: Framing,
    pub limits: &'a Limits,
    /// The hook for objects that nothing else converts.
    pub default: Option<&'a Py<PyAny>>,
    /// Arguments for the serializers of pydantic models.
    pub model_dump: Option<&'a Py<PyDict>>,
}

/// What went wrong, before it is known where.
#[derive(Debug)]
pub(super) enum Failure {
    Value(String),
    Limit(&'static str, String),
    Raised(String, PyErr),
}

impl From<Passed> for Failure {
    fn from((limit, reason): Passed) -> Self {
        Self::Limit(limit, reason)
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Self::Raised(said(&error), error)
    }
}

/// References to the elements of open containers, those of inner containers after those of outer ones.
#[derive(Default)]
pub(super) struct Snapshot<'py>(RefCell<Vec<Bound<'py, PyAny>>>);

impl<'py> Snapshot<'py> {
    pub(super) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    pub(super) fn push(&self, object: Bound<'py, PyAny>) {
        self.0.borrow_mut().push(object);
    }

    #[inline]
    pub(super) fn get(&self, index: usize) -> *mut ffi::PyObject {
        self.0.borrow()[index].as_ptr()
    }

    /// Whether what lies in `start..end` lies behind it once more, and nothing else.
    pub(super) fn has_twice(&self, start: usize, end: usize) -> bool {
        let all = self.0.borrow();
        all.len() - end == end - start && all[start..end].iter().zip(&all[end..]).all(|(a, b)| a.is(b))
    }

    /// Lets go of everything from `start` on.
    pub(super) fn release(&self, start: usize) {
        self.0.borrow_mut().truncate(start);
    }
}

/// The state of one walk.
pub(super) struct Walk<'a, 'py> {
    pub(super) py: Python<'py>,
    pub(super) writing: &'a Writing<'a>,
    /// Containers are written by snapshots of them, so that Python code may run.
    pub(super) by_snapshot: bool,
    /// Before the snapshot: what is released with that may run code, which begins outside this walk.
    limit: DepthLimit,
    pub(super) snapshot: Snapshot<'py>,
    /// Nested answers of the `default` hook and values of enums.
    pub(super) stand_ins: Cell<usize>,
    failure: RefCell<Option<Failure>>,
    path: RefCell<Path>,
}

impl<'a, 'py> Walk<'a, 'py> {
    pub(super) fn new(py: Python<'py>, writing: &'a Writing<'a>, by_snapshot: bool) -> Self {
        Self {
            py,
            writing,
            by_snapshot,
            limit: DepthLimit::new(writing.limits, by_snapshot),
            snapshot: Snapshot::default(),
            stand_ins: Cell::new(0),
            failure: RefCell::new(None),
            path: RefCell::default(),
        }
    }

    /// The walk's root.
    pub(super) fn root(&self, item: &'a Bound<'py, PyAny>) -> Value<'_, 'a, 'py> {
        Value::new(self, item.as_ptr())
    }

    /// Asks whether Python code may run now; if not, the walk fails, to be begun again by snapshots.
    pub(super) fn before_code<E: serde::ser::Error>(&self) -> Result<(), E> {
        self.limit.count_run().map_err(|passed| self.fail(passed.into()))?;
        if self.by_snapshot { Ok(()) } else { Err(E::custom("")) }
    }

    /// How often [`before_code`](Self::before_code) was asked.
    pub(super) fn runs(&self) -> usize {
        self.limit.runs()
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
        if !self.limit.has_room_for(len) {
            self.check(len)?;
        }
        self.limit.open_container(len);
        Ok(())
    }

    #[inline]
    pub(super) fn leave(&self) {
        self.limit.close_container();
    }

    #[cold]
    #[inline(never)]
    fn check<E: serde::ser::Error>(&self, len: usize) -> Result<(), E> {
        self.limit.check(self.writing.limits, len).map_err(|passed| self.fail(passed.into()))
    }

    #[cold]
    pub(super) fn refuse<E: serde::ser::Error>(&self, reason: String) -> E {
        self.fail(Failure::Value(reason))
    }

    #[cold]
    pub(super) fn raised<E: serde::ser::Error>(&self, error: PyErr) -> E {
        self.fail(error.into())
    }
}

/// The name of an object's type with its module.
#[cold]
pub(super) fn type_name(object: &Bound<'_, PyAny>) -> String {
    object.get_type().fully_qualified_name().map_or_else(|_| "?".into(), |name| name.to_string())
}
