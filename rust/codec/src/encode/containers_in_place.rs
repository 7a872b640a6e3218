//! Serialization of lists, tuples and dicts in place, without a snapshot of their elements.
#![allow(unsafe_code)] // reads elements without a reference where no code can run before their use
#![expect(clippy::inline_always, reason = "the head of each list and dict")]

use pyo3::ffi;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use super::dict_key::Key;
use super::error_path::Segment;
use super::value::Value;
use crate::py::layout::{self, Int};

impl Value<'_, '_, '_> {
    #[inline(always)]
    pub(super) fn list<S: Serializer>(self, to: S) -> Result<S::Ok, S::Error> {
        if self.walk.by_snapshot { self.list_by_snapshot(to) } else { self.list_in_place(to) }
    }

    #[inline(never)]
    fn list_in_place<S: Serializer>(self, to: S) -> Result<S::Ok, S::Error> {
        let _alive = self.object();
        // SAFETY: `ob` is a list, held alive; its size is read again before each element, whose use begins before any
        // code runs; an element that can run code holds itself.
        let len = unsafe { ffi::PyList_GET_SIZE(self.ob) };
        self.walk.enter(len.cast_unsigned())?;
        let mut seq = to.serialize_seq(Some(len.cast_unsigned()))?;
        let start = if self.begins_with_number() { self.numbers(&mut seq, len)? } else { 0 };
        for index in start..len {
            // SAFETY: as above.
            let item = unsafe {
                if index >= ffi::PyList_GET_SIZE(self.ob) {
                    return Err(self.walk.changed());
                }
                ffi::PyList_GET_ITEM(self.ob, index)
            };
            if item.is_null() {
                return Err(self.walk.changed());
            }
            let child = self.child(item);
            // SAFETY: the item is alive.
            let is_dict = unsafe { ffi::PyDict_CheckExact(item) } != 0;
            let done = if is_dict { seq.serialize_element(&Record(child)) } else { seq.serialize_element(&child) };
            if let Err(error) = done {
                return Err(self.at_index(index, error));
            }
        }
        // SAFETY: as above.
        if unsafe { ffi::PyList_GET_SIZE(self.ob) } != len {
            return Err(self.walk.changed());
        }
        self.walk.leave();
        seq.end()
    }

    #[inline(always)]
    pub(super) fn begins_with_number(self) -> bool {
        // SAFETY: `ob` is a list; its first item is alive, or null.
        unsafe {
            let first = if ffi::PyList_GET_SIZE(self.ob) > 0 { ffi::PyList_GET_ITEM(self.ob, 0) } else { self.ob };
            let ty = if first.is_null() { std::ptr::null_mut() } else { ffi::Py_TYPE(first) };
            ty == &raw mut ffi::PyFloat_Type || ty == &raw mut ffi::PyLong_Type
        }
    }

    /// Serializes the floats, then the ints, that a list begins with; returns how many. They run no code, so the list
    /// stays as it is. One loop for each: the serializer's code in a second one would be called instead of inlined.
    #[inline(never)]
    pub(super) fn numbers<Q: SerializeSeq>(self, seq: &mut Q, len: isize) -> Result<isize, Q::Error> {
        let mut index = 0;
        // SAFETY: `ob` is a list of this length and alive, and so are its items; unset ones are null.
        unsafe {
            let item = |index| {
                let item = ffi::PyList_GET_ITEM(self.ob, index);
                (item, if item.is_null() { std::ptr::null_mut() } else { ffi::Py_TYPE(item) })
            };
            while index < len
                && let (item, ty) = item(index)
                && ty == &raw mut ffi::PyFloat_Type
            {
                seq.serialize_element(&ffi::PyFloat_AS_DOUBLE(item)).map_err(|error| self.at_index(index, error))?;
                index += 1;
            }
            // Where digits are not read, ints go the way of all other values.
            let len = if layout::reads_digits() { len } else { index };
            while index < len
                && let (item, ty) = item(index)
                && ty == &raw mut ffi::PyLong_Type
            {
                match layout::int_of_digits(item) {
                    Int::Signed(value) => seq.serialize_element(&value),
                    Int::Unsigned(value) => seq.serialize_element(&value),
                    Int::TooLarge => Err(self.child(item).too_large()),
                }
                .map_err(|error| self.at_index(index, error))?;
                index += 1;
            }
        }
        Ok(index)
    }

    #[cold]
    fn at_index<E>(self, index: isize, error: E) -> E {
        self.at(Segment::Index(index.cast_unsigned()), error)
    }

    #[inline(never)]
    pub(super) fn tuple<S: Serializer>(self, to: S) -> Result<S::Ok, S::Error> {
        let _alive = self.object();
        // SAFETY: `ob` is a tuple, held alive; tuples do not change.
        let len = unsafe { ffi::PyTuple_GET_SIZE(self.ob) };
        self.walk.enter(len.cast_unsigned())?;
        let mut seq = to.serialize_seq(Some(len.cast_unsigned()))?;
        // SAFETY: as above.
        self.elements(&mut seq, 0, (0..len).map(|index| unsafe { ffi::PyTuple_GET_ITEM(self.ob, index) }))?;
        self.walk.leave();
        seq.end()
    }

    /// Serializes elements that something else holds, the first of which is at `start`; unset ones are null.
    pub(super) fn elements<Q: SerializeSeq>(
        self,
        seq: &mut Q,
        start: usize,
        items: impl Iterator<Item = *mut ffi::PyObject>,
    ) -> Result<(), Q::Error> {
        for (index, item) in (start..).zip(items) {
            if item.is_null() {
                return Err(self.walk.changed());
            }
            if let Err(error) = seq.serialize_element(&self.child(item)) {
                return Err(self.at(Segment::Index(index), error));
            }
        }
        Ok(())
    }

    #[inline(always)]
    pub(super) fn dict<S: Serializer>(self, to: S) -> Result<S::Ok, S::Error> {
        if self.walk.by_snapshot { self.dict_by_snapshot(to) } else { self.dict_called(to) }
    }

    #[inline(never)]
    fn dict_called<S: Serializer>(self, to: S) -> Result<S::Ok, S::Error> {
        self.dict_in_place(to)
    }

    #[inline(always)]
    fn dict_in_place<S: Serializer>(self, to: S) -> Result<S::Ok, S::Error> {
        let _alive = self.object();
        // SAFETY: `ob` is a dict, held alive.
        let len = unsafe { layout::dict_len(self.ob) };
        self.walk.enter(len.cast_unsigned())?;
        let mut map = to.serialize_map(Some(len.cast_unsigned()))?;
        let mut position = 0;
        for _ in 0..len {
            let (mut key, mut value) = (std::ptr::null_mut(), std::ptr::null_mut());
            // SAFETY: `PyDict_Next` checks its position against the dict as it is now; key and value are used before any
            // code runs, or held: the key here, a value that can run code by itself.
            if unsafe { ffi::PyDict_Next(self.ob, &raw mut position, &raw mut key, &raw mut value) } == 0 {
                return Err(self.walk.changed());
            }
            let key = Key(self.child(key));
            let _key_alive = key.0.object();
            key.check()?;
            if let Err(error) = map.serialize_entry(&key, &self.child(value)) {
                return Err(self.at(key.segment(), error));
            }
        }
        // SAFETY: as above.
        if unsafe { layout::dict_len(self.ob) } != len {
            return Err(self.walk.changed());
        }
        self.walk.leave();
        map.end()
    }
}

/// A dict in a list, which is walked without a call: processors foresee the returns of a few dozen calls only.
struct Record<'w, 'a, 'py>(Value<'w, 'a, 'py>);

impl Serialize for Record<'_, '_, '_> {
    #[inline(always)]
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.dict_in_place(to)
    }
}
