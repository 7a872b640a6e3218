//! Builder of Python objects: the visitor that makes what a reader finds, within the limits.
#![allow(unsafe_code)] // holds owned references as plain pointers between making an object and giving it away
#![expect(clippy::inline_always, reason = "each key of each dict")]

use pyo3::ffi;
use pyo3::prelude::*;

use super::decoded_size_limit::{DecodedBound, cost};
use super::visitor::{NumberVisitor, PART, Visitor, in_parts};
use super::{dict_templates, key_cache, utf8_in, validate};
use crate::error::{BoxedError, DecodeError, invalid, over};
use crate::py::construct;
use crate::py::gil_cell::GilCell;
use crate::{Format, Limits};

/// Values whose container has not ended yet, as owned references.
#[derive(Debug, Default)]
pub(super) struct Values {
    stack: Vec<*mut ffi::PyObject>,
    /// Bytes of all objects made so far.
    pub(super) spent: usize,
}

// SAFETY: the references are released and used with the interpreter attached only; see `Drop`.
unsafe impl Send for Values {}

/// A stack that stays for the next message.
static SPARE: GilCell<Vec<*mut ffi::PyObject>> = GilCell::new(Vec::new());

/// Larger stacks are given back to the allocator.
const SPARE_VALUES: usize = 4096;

impl Values {
    /// An empty stack, with the capacity of the last one.
    pub(super) fn new(py: Python<'_>) -> Self {
        // SAFETY: no Python code runs here.
        Self { stack: std::mem::take(unsafe { SPARE.get(py) }), spent: 0 }
    }

    /// Gives the stack back, if it is empty.
    #[inline]
    pub(super) fn keep(mut self, py: Python<'_>) {
        if self.stack.is_empty() && self.stack.capacity() <= SPARE_VALUES {
            // SAFETY: no Python code runs here.
            unsafe { *SPARE.get(py) = std::mem::take(&mut self.stack) };
        }
    }
}

impl Drop for Values {
    #[expect(clippy::disallowed_methods, reason = "asks whether the interpreter is still there; its owner is attached")]
    fn drop(&mut self) {
        if self.stack.is_empty() {
            return;
        }
        pybridge_base::exit_parking::enter();
        Python::try_attach(|_| {
            for value in self.stack.drain(..) {
                // SAFETY: the stack owns the reference; the thread is attached.
                unsafe { ffi::Py_DECREF(value) };
            }
        });
    }
}

/// Makes the objects, each after its cost was found to be within the limit.
pub(super) struct Builder<'v, 'py> {
    pub(super) py: Python<'py>,
    pub(super) values: &'v mut Values,
    pub(super) bound: DecodedBound,
    /// The message, where keys that come twice are refused.
    pub(super) strict: Option<(Format, &'v Limits, &'v [u8])>,
}

impl Builder<'_, '_> {
    /// The message's value, after its reader said that it is complete.
    pub(super) fn finish(&mut self) -> Result<Py<PyAny>, BoxedError> {
        match self.values.stack.pop() {
            // SAFETY: the stack owned the reference.
            Some(value) => Ok(unsafe { Bound::from_owned_ptr(self.py, value) }.unbind()),
            None => Err(invalid(0, "no value")),
        }
    }

    #[inline]
    fn spend(&mut self, bytes: usize) -> Result<(), BoxedError> {
        self.values.spent += bytes;
        if self.values.spent > self.bound.bytes { Err(self.too_large()) } else { Ok(()) }
    }

    #[inline]
    fn push(&mut self, made: *mut ffi::PyObject) -> Result<(), BoxedError> {
        if made.is_null() {
            return Err(self.raised());
        }
        self.values.stack.push(made);
        Ok(())
    }

    #[cold]
    fn raised(&self) -> BoxedError {
        DecodeError::Python(PyErr::fetch(self.py)).into()
    }

    #[cold]
    fn too_large(&self) -> BoxedError {
        over(self.bound.field, 0, self.bound.reason())
    }

    #[inline(never)]
    fn new_key(&mut self, text: &[u8], offset: usize) -> Result<(), BoxedError> {
        if !text.is_ascii() {
            return self.wide(text, offset);
        }
        self.spend(cost::KEY + text.len())?;
        self.push(key_cache::add(self.py, text))
    }

    #[inline(never)]
    fn wide(&mut self, text: &[u8], offset: usize) -> Result<(), BoxedError> {
        let shape = utf8_in::StrShape::of(text);
        self.spend(cost::KEY + shape.bytes())?;
        match utf8_in::decode(self.py, text, shape) {
            Ok(made) => self.push(made),
            Err(valid_up_to) => Err(invalid(offset + valid_up_to, "text that is not UTF-8")),
        }
    }

    /// Moves the last `pairs` into `dict`, and the dict to where they were.
    fn fill(&mut self, dict: *mut ffi::PyObject, pairs: usize) -> Result<(), BoxedError> {
        let start = self.values.stack.len() - 2 * pairs;
        // SAFETY: the stack gives up the last references, which `fill` takes, and owns the dict from then on.
        unsafe {
            self.values.stack.set_len(start);
            let taken = std::slice::from_raw_parts(self.values.stack.as_ptr().add(start), 2 * pairs);
            let filled = construct::fill(self.py, dict, taken);
            self.push(dict)?;
            if filled { Ok(()) } else { Err(self.raised()) }
        }
    }

    /// A new dict, or the one whose parts lie under the last `pairs`, which is taken from the stack by `fill`.
    fn parts(&mut self, pairs: usize) -> *mut ffi::PyObject {
        let place = self.values.stack.len() - 2 * pairs - 1;
        self.values.stack.remove(place)
    }
}

impl NumberVisitor for Builder<'_, '_> {
    #[inline]
    fn signed(&mut self, value: i64) -> Result<(), BoxedError> {
        // SAFETY: attached.
        self.push(unsafe { ffi::PyLong_FromLong(value) })
    }

    #[inline]
    fn unsigned(&mut self, value: u64) -> Result<(), BoxedError> {
        // SAFETY: attached. The first has a short way for the most common numbers.
        self.push(unsafe {
            match i64::try_from(value) {
                Ok(value) => ffi::PyLong_FromLong(value),
                Err(_) => ffi::PyLong_FromUnsignedLongLong(value),
            }
        })
    }

    #[inline]
    fn float(&mut self, value: f64) -> Result<(), BoxedError> {
        // SAFETY: attached.
        self.push(unsafe { ffi::PyFloat_FromDouble(value) })
    }
}

impl Visitor for Builder<'_, '_> {
    #[inline]
    fn expect(&mut self, count: usize) -> Result<(), BoxedError> {
        self.spend(count * cost::VALUE)
    }

    #[inline]
    fn null(&mut self) -> Result<(), BoxedError> {
        // SAFETY: attached; a new reference to a singleton.
        self.push(unsafe { ffi::Py_NewRef(ffi::Py_None()) })
    }

    #[inline]
    fn bool(&mut self, value: bool) -> Result<(), BoxedError> {
        // SAFETY: attached; a new reference to a singleton.
        self.push(unsafe { ffi::Py_NewRef(if value { ffi::Py_True() } else { ffi::Py_False() }) })
    }

    #[inline]
    fn text(&mut self, text: &[u8], ascii: bool, offset: usize) -> Result<(), BoxedError> {
        if !ascii {
            return self.wide(text, offset);
        }
        self.spend(cost::TEXT + text.len())?;
        self.push(construct::ascii(self.py, text))
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), BoxedError> {
        self.spend(cost::TEXT + bytes.len())?;
        // SAFETY: attached; pointer and length are those of the slice.
        self.push(unsafe { ffi::PyBytes_FromStringAndSize(bytes.as_ptr().cast(), bytes.len().cast_signed()) })
    }

    #[inline(always)]
    fn key(&mut self, text: &[u8], offset: usize) -> Result<(), BoxedError> {
        self.spend(cost::PAIR)?;
        match key_cache::get(self.py, text) {
            Some(key) => self.push(key),
            None => self.new_key(text, offset),
        }
    }

    #[inline]
    fn array(&mut self, len: usize) -> Result<(), BoxedError> {
        self.spend(cost::LIST)?;
        let start = self.values.stack.len() - len;
        // SAFETY: the stack owns the last `len` references and gives them up with `set_len`.
        unsafe {
            let list = construct::list(self.py, &self.values.stack[start..]);
            if list.is_null() {
                return Err(self.raised());
            }
            self.values.stack.set_len(start);
            self.push(list)
        }
    }

    #[cold]
    fn part(&mut self, first: bool) -> Result<(), BoxedError> {
        // SAFETY: attached; null is an error that `fill` passes on.
        let dict = if first { unsafe { ffi::PyDict_New() } } else { self.parts(PART) };
        self.fill(dict, PART)
    }

    #[inline]
    fn map(&mut self, len: usize, offset: usize) -> Result<(), BoxedError> {
        self.spend(cost::DICT + if len == 0 { 0 } else { cost::TABLE })?;
        let rest = len - in_parts(len);
        let dict = if rest == len {
            let pairs = &self.values.stack[self.values.stack.len() - 2 * len..];
            // SAFETY: the stack owns the references; null is an error that `fill` passes on.
            unsafe { dict_templates::dict(self.py, pairs) }
        } else {
            self.parts(rest)
        };
        self.fill(dict, rest)?;
        if let Some((format, limits, input)) = self.strict {
            // SAFETY: attached; the dict is on the stack.
            let kept = unsafe { ffi::PyDict_Size(dict) };
            if kept.cast_unsigned() != len {
                return Err(validate::duplicate_key(format, limits, input, offset));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "a test's thread is its own")]

    use super::*;

    #[test]
    fn the_next_message_takes_over_a_stack_that_is_not_large() {
        Python::attach(|py| {
            for (capacity, taken) in [(1, true), (SPARE_VALUES, true), (SPARE_VALUES + 1, false)] {
                drop(Values::new(py));
                Values { stack: Vec::with_capacity(capacity), spent: 0 }.keep(py);
                assert_eq!(Values::new(py).stack.capacity() == capacity, taken, "{capacity}");
            }
        });
    }
}
