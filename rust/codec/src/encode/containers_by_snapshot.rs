//! Serialization of containers that Python code may change meanwhile: from a snapshot of their elements, which is
//! compared with the container at the end.
#![allow(unsafe_code)] // reads elements where no code can run before they are captured

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyFrozenSet, PySet, PyType};
use serde::Serializer;
use serde::ser::{SerializeMap, SerializeSeq};

use super::dict_key::Key;
use super::value::Value;
use crate::py::layout;

impl Value<'_, '_, '_> {
    #[inline(never)]
    pub(super) fn list_by_snapshot<S: Serializer>(self, to: S) -> Result<S::Ok, S::Error> {
        let _alive = self.object();
        let snapshot = &self.walk.snapshot;
        let (runs, start) = (self.walk.runs(), snapshot.len());
        // SAFETY: `ob` is a list, held alive.
        let len = unsafe { ffi::PyList_GET_SIZE(self.ob) };
        self.walk.enter(len.cast_unsigned())?;
        let mut seq = to.serialize_seq(Some(len.cast_unsigned()))?;
        let numbers = if self.begins_with_number() { self.numbers(&mut seq, len)? } else { 0 };
        if numbers < len {
            if !self.capture_items() {
                return Err(self.walk.changed());
            }
            let from = numbers.cast_unsigned();
            self.elements(&mut seq, from, (start + from..snapshot.len()).map(|index| snapshot.get(index)))?;
            self.release_unchanged(start, runs, Self::capture_items)?;
        }
        self.walk.leave();
        seq.end()
    }

    #[inline(never)]
    pub(super) fn dict_by_snapshot<S: Serializer>(self, to: S) -> Result<S::Ok, S::Error> {
        let _alive = self.object();
        let snapshot = &self.walk.snapshot;
        let (runs, start) = (self.walk.runs(), snapshot.len());
        // SAFETY: `ob` is a dict, held alive.
        self.walk.enter(unsafe { layout::dict_len(self.ob) }.cast_unsigned())?;
        self.capture_entries();
        let entries = self.text_keys(start)?;
        let done = self.map(entries, to)?;
        if entries > start {
            snapshot.release(entries);
        }
        self.release_unchanged(start, runs, |this| {
            this.capture_entries();
            true
        })?;
        Ok(done)
    }

    /// A set, frozenset or deque, in the order of its iterator.
    #[inline(never)]
    pub(super) fn each<S: Serializer>(self, to: S) -> Result<S::Ok, S::Error> {
        let _alive = self.object();
        let snapshot = &self.walk.snapshot;
        let (runs, start) = (self.walk.runs(), snapshot.len());
        if !self.capture_each() {
            return Err(self.walk.changed());
        }
        let end = snapshot.len();
        self.walk.enter(end - start)?;
        let mut seq = to.serialize_seq(Some(end - start))?;
        self.elements(&mut seq, 0, (start..end).map(|index| snapshot.get(index)))?;
        self.release_unchanged(start, runs, Self::capture_each)?;
        self.walk.leave();
        seq.end()
    }

    /// Serializes keys and values of the snapshot, in turns, from `start` on, as a map that was entered.
    pub(super) fn map<S: Serializer>(self, start: usize, to: S) -> Result<S::Ok, S::Error> {
        let snapshot = &self.walk.snapshot;
        let indices = start..snapshot.len();
        let mut map = to.serialize_map(Some(indices.len() / 2))?;
        for index in indices.step_by(2) {
            let key = Key(self.child(snapshot.get(index)));
            key.check()?;
            if let Err(error) = map.serialize_entry(&key, &self.child(snapshot.get(index + 1))) {
                return Err(self.at(key.segment(), error));
            }
        }
        self.walk.leave();
        map.end()
    }

    /// Lets go of the snapshot from `start` on; if code has run since it began, what `again` captures must be the same.
    #[inline(never)]
    fn release_unchanged<E: serde::ser::Error>(
        self,
        start: usize,
        runs: usize,
        again: fn(Self) -> bool,
    ) -> Result<(), E> {
        let snapshot = &self.walk.snapshot;
        let end = snapshot.len();
        if runs != self.walk.runs() {
            let whole = again(self);
            if !(whole && snapshot.has_twice(start, end)) {
                return Err(self.walk.changed());
            }
        }
        snapshot.release(start);
        Ok(())
    }

    /// Captures the elements of a list. False: one is not set.
    #[inline(never)]
    fn capture_items(self) -> bool {
        // SAFETY: `ob` is a list, whose unset elements are null; making references runs no code.
        unsafe {
            for index in 0..ffi::PyList_GET_SIZE(self.ob) {
                let item = ffi::PyList_GET_ITEM(self.ob, index);
                let Some(item) = Bound::from_borrowed_ptr_or_opt(self.walk.py, item) else { return false };
                self.walk.snapshot.push(item);
            }
        }
        true
    }

    /// Captures the elements that the iterator of a builtin base gives, which runs no Python code.
    #[inline(never)]
    fn capture_each(self) -> bool {
        let object = self.object();
        let capture = || -> PyResult<()> {
            for item in storage(&object)?.call_method1(intern!(self.walk.py, "__iter__"), (&object,))?.try_iter()? {
                self.walk.snapshot.push(item?);
            }
            Ok(())
        };
        capture().is_ok()
    }

    /// Captures the keys and values of a dict.
    #[inline(never)]
    pub(super) fn capture_entries(self) {
        let (mut position, mut key, mut value) = (0, std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: `ob` is a dict; making references runs no code.
        unsafe {
            while ffi::PyDict_Next(self.ob, &raw mut position, &raw mut key, &raw mut value) != 0 {
                self.walk.snapshot.push(Bound::from_borrowed_ptr(self.walk.py, key));
                self.walk.snapshot.push(Bound::from_borrowed_ptr(self.walk.py, value));
            }
        }
    }
}

/// The builtin class whose storage a set, frozenset or deque has.
fn storage<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyType>> {
    static DEQUE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let py = object.py();
    if object.is_instance_of::<PySet>() {
        Ok(py.get_type::<PySet>())
    } else if object.is_instance_of::<PyFrozenSet>() {
        Ok(py.get_type::<PyFrozenSet>())
    } else {
        DEQUE.import(py, "collections", "deque").cloned()
    }
}
