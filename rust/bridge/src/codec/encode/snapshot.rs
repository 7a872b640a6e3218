//! What a message holds while Python code runs during its encoding: the elements of its open containers, which have
//! to be in their places still when those end.
#![allow(unsafe_code)] // reads elements where no code can run before they are held

use std::cell::RefCell;

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyFrozenSet, PySet, PyType};
use serde::Serializer;
use serde::ser::{SerializeMap, SerializeSeq};

use super::containers::Key;
use super::value::Value;
use crate::codec::py::layout;

/// References to elements, those of inner containers after those of outer ones.
#[derive(Default)]
pub(super) struct Held<'py>(RefCell<Vec<Bound<'py, PyAny>>>);

impl<'py> Held<'py> {
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

    /// Lets go of everything from `start` on.
    pub(super) fn release(&self, start: usize) {
        self.0.borrow_mut().truncate(start);
    }
}

impl Value<'_, '_, '_> {
    #[inline(never)]
    pub(super) fn held_list<S: Serializer>(self, to: S) -> Result<S::Ok, S::Error> {
        let _alive = self.object();
        let held = &self.walk.held;
        let (runs, start) = (self.walk.runs(), held.len());
        // SAFETY: `ob` is a list, held alive.
        let len = unsafe { ffi::PyList_GET_SIZE(self.ob) };
        self.walk.enter(len.cast_unsigned())?;
        let mut seq = to.serialize_seq(Some(len.cast_unsigned()))?;
        let numbers = if self.begins_with_number() { self.numbers(&mut seq, len)? } else { 0 };
        if numbers < len {
            if !self.hold_items() {
                return Err(self.walk.changed());
            }
            let from = numbers.cast_unsigned();
            self.elements(&mut seq, from, (start + from..held.len()).map(|index| held.get(index)))?;
            self.let_go(start, runs, Self::hold_items)?;
        }
        self.walk.leave();
        seq.end()
    }

    #[inline(never)]
    pub(super) fn held_dict<S: Serializer>(self, to: S) -> Result<S::Ok, S::Error> {
        let _alive = self.object();
        let held = &self.walk.held;
        let (runs, start) = (self.walk.runs(), held.len());
        // SAFETY: `ob` is a dict, held alive.
        self.walk.enter(unsafe { layout::dict_len(self.ob) }.cast_unsigned())?;
        self.hold_entries();
        let entries = self.text_keys(start)?;
        let done = self.map(entries, to)?;
        if entries > start {
            held.release(entries);
        }
        self.let_go(start, runs, |this| {
            this.hold_entries();
            true
        })?;
        Ok(done)
    }

    /// A set, frozenset or deque, in the order of its iterator.
    #[inline(never)]
    pub(super) fn each<S: Serializer>(self, to: S) -> Result<S::Ok, S::Error> {
        let _alive = self.object();
        let held = &self.walk.held;
        let (runs, start) = (self.walk.runs(), held.len());
        if !self.hold_each() {
            return Err(self.walk.changed());
        }
        let end = held.len();
        self.walk.enter(end - start)?;
        let mut seq = to.serialize_seq(Some(end - start))?;
        self.elements(&mut seq, 0, (start..end).map(|index| held.get(index)))?;
        self.let_go(start, runs, Self::hold_each)?;
        self.walk.leave();
        seq.end()
    }

    /// Serializes keys and values that are held, in turns, from `start` on, as a map that was entered.
    pub(super) fn map<S: Serializer>(self, start: usize, to: S) -> Result<S::Ok, S::Error> {
        let held = start..self.walk.held.len();
        let mut map = to.serialize_map(Some(held.len() / 2))?;
        for index in held.step_by(2) {
            let key = Key(self.child(self.walk.held.get(index)));
            key.check()?;
            if let Err(error) = map.serialize_entry(&key, &self.child(self.walk.held.get(index + 1))) {
                return Err(self.at(key.segment(), error));
            }
        }
        self.walk.leave();
        map.end()
    }

    /// Ends the hold that began at `start`; if code has run since, what `again` holds must be the same.
    #[inline(never)]
    fn let_go<E: serde::ser::Error>(self, start: usize, runs: usize, again: fn(Self) -> bool) -> Result<(), E> {
        let held = &self.walk.held;
        let end = held.len();
        if runs != self.walk.runs() {
            let whole = again(self);
            let all = held.0.borrow();
            let same = all.len() - end == end - start && all[start..end].iter().zip(&all[end..]).all(|(a, b)| a.is(b));
            drop(all);
            if !(whole && same) {
                return Err(self.walk.changed());
            }
        }
        held.release(start);
        Ok(())
    }

    /// Holds the elements of a list. False: one is not set.
    #[inline(never)]
    fn hold_items(self) -> bool {
        // SAFETY: `ob` is a list, whose unset elements are null; making references runs no code.
        unsafe {
            for index in 0..ffi::PyList_GET_SIZE(self.ob) {
                let item = ffi::PyList_GET_ITEM(self.ob, index);
                let Some(item) = Bound::from_borrowed_ptr_or_opt(self.walk.py, item) else { return false };
                self.walk.held.push(item);
            }
        }
        true
    }

    /// Holds the elements that the iterator of a builtin base gives, which runs no Python code.
    #[inline(never)]
    fn hold_each(self) -> bool {
        let object = self.object();
        let hold = || -> PyResult<()> {
            for item in storage(&object)?.call_method1(intern!(self.walk.py, "__iter__"), (&object,))?.try_iter()? {
                self.walk.held.push(item?);
            }
            Ok(())
        };
        hold().is_ok()
    }

    /// Holds the keys and values of a dict.
    #[inline(never)]
    pub(super) fn hold_entries(self) {
        let (mut position, mut key, mut value) = (0, std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: `ob` is a dict; making references runs no code.
        unsafe {
            while ffi::PyDict_Next(self.ob, &raw mut position, &raw mut key, &raw mut value) != 0 {
                self.walk.held.push(Bound::from_borrowed_ptr(self.walk.py, key));
                self.walk.held.push(Bound::from_borrowed_ptr(self.walk.py, value));
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
