//! Storage of a `str`, read where `CPython` keeps it.
#![allow(unsafe_code)] // reads the storage of a live str, which never changes

use pyo3::ffi;

/// Text of a `str`.
pub(crate) enum Text<'a> {
    /// Its storage, or what is cached beside it, is UTF-8.
    Utf8(&'a str),
    /// Latin-1 storage, one byte for each code point.
    Latin1(&'a [u8]),
    /// Two bytes for each code point.
    Ucs2(&'a [u16]),
    /// Four bytes for each code point.
    Ucs4(&'a [u32]),
}

/// The text of `ob`.
///
/// # Safety
/// `ob` is a `str` or of a subclass, and stays alive for `'a`.
#[inline]
pub(crate) unsafe fn text<'a>(ob: *mut ffi::PyObject) -> Text<'a> {
    // SAFETY: the caller passes a live str; its storage is immutable and of the kind and length it states.
    unsafe {
        let len = ffi::PyUnicode_GET_LENGTH(ob).cast_unsigned();
        let state = State::of(ob);
        if state.is_ascii() {
            let bytes = std::slice::from_raw_parts(state.data(ob).cast::<u8>(), len);
            return Text::Utf8(std::str::from_utf8_unchecked(bytes));
        }
        // Four bytes for each code point may hold what is none, and so may its cached form.
        if state.is_compact()
            && state.kind() != ffi::PyUnicode_4BYTE_KIND
            && let Some(text) = cached(ob)
        {
            return Text::Utf8(text);
        }
        #[cfg(not(Py_3_12))]
        if state.kind() == 0 {
            return legacy(ob);
        }
        let data = state.data(ob);
        match state.kind() {
            ffi::PyUnicode_1BYTE_KIND => Text::Latin1(std::slice::from_raw_parts(data.cast(), len)),
            ffi::PyUnicode_2BYTE_KIND => Text::Ucs2(std::slice::from_raw_parts(data.cast(), len)),
            _ => Text::Ucs4(std::slice::from_raw_parts(data.cast(), len)),
        }
    }
}

/// Where the storage of `ob` begins.
///
/// # Safety
/// `ob` is a live `str` or of a subclass.
#[inline]
pub(crate) unsafe fn data(ob: *mut ffi::PyObject) -> *mut std::ffi::c_void {
    // SAFETY: the caller's promise.
    unsafe { State::of(ob).data(ob) }
}

/// The UTF-8 that a compact `str` keeps beside its storage, if it was asked for before.
#[inline]
unsafe fn cached<'a>(ob: *mut ffi::PyObject) -> Option<&'a str> {
    // SAFETY: the caller passes a live str whose head is of this form; what it keeps is UTF-8 and lives as long.
    unsafe {
        let head = ob.cast::<ffi::PyCompactUnicodeObject>();
        let (start, len) = ((*head).utf8, (*head).utf8_length.cast_unsigned());
        (!start.is_null()).then(|| std::str::from_utf8_unchecked(std::slice::from_raw_parts(start.cast::<u8>(), len)))
    }
}

/// Text that an old extension module has left without its storage; text that is refused if
/// there is no memory to make it.
///
/// # Safety
/// As for [`text`].
#[cfg(not(Py_3_12))]
#[cold]
unsafe fn legacy<'a>(ob: *mut ffi::PyObject) -> Text<'a> {
    // SAFETY: the caller's promise; a str whose storage was made is never legacy again.
    unsafe {
        if ffi::PyUnicode_READY(ob) == 0 {
            return text(ob);
        }
        ffi::PyErr_Clear();
        Text::Ucs4(&[0xd800])
    }
}

/// How a `str` is stored: two bits that the interpreter uses, three of the kind, one of a compact and one of an ASCII str.
///
/// Source: `PyASCIIObject` in `CPython`'s `Include/cpython/unicodeobject.h`, the same from 3.11 on.
#[derive(Clone, Copy)]
struct State(u32);

impl State {
    const COMPACT: u32 = 1 << 5;
    const ASCII: u32 = 1 << 6;

    /// What the head of `ob`, a live `str`, says.
    #[inline]
    unsafe fn of(ob: *mut ffi::PyObject) -> Self {
        #[cfg(Py_3_14)]
        if !layout::is_known() {
            // SAFETY: the caller's promise.
            return unsafe { Self::asked(ob) };
        }
        // SAFETY: the caller passes a live str, whose head has this form.
        unsafe { Self((*ob.cast::<ffi::PyASCIIObject>()).state) }
    }

    /// What the interpreter's functions say, of a `str` as one that is not compact.
    #[cfg(Py_3_14)]
    #[cold]
    unsafe fn asked(ob: *mut ffi::PyObject) -> Self {
        // SAFETY: the caller passes a live str; storage of this kind has one byte for each code point.
        unsafe {
            let kind = ffi::PyUnicode_KIND(ob);
            let is_ascii = kind == ffi::PyUnicode_1BYTE_KIND
                && std::slice::from_raw_parts(
                    ffi::PyUnicode_DATA(ob).cast::<u8>(),
                    ffi::PyUnicode_GET_LENGTH(ob).cast_unsigned(),
                )
                .is_ascii();
            Self(kind << 2 | if is_ascii { Self::ASCII } else { 0 })
        }
    }

    #[inline]
    fn is_ascii(self) -> bool {
        self.0 & Self::ASCII != 0
    }

    #[inline]
    fn is_compact(self) -> bool {
        self.0 & Self::COMPACT != 0
    }

    #[inline]
    fn kind(self) -> u32 {
        self.0 >> 2 & 7
    }

    /// Where the storage of `ob` begins, whose state this is.
    #[inline]
    unsafe fn data(self, ob: *mut ffi::PyObject) -> *mut std::ffi::c_void {
        // SAFETY: the caller passes a live str; the storage of a compact one lies behind its head.
        unsafe {
            if !self.is_compact() {
                ffi::PyUnicode_DATA(ob)
            } else if self.is_ascii() {
                ob.cast::<ffi::PyASCIIObject>().add(1).cast()
            } else {
                ob.cast::<ffi::PyCompactUnicodeObject>().add(1).cast()
            }
        }
    }
}

/// Looks at how this interpreter stores text; until then, and where that is not as expected, its functions are asked.
#[cfg(Py_3_14)]
pub fn look_at_strings(py: pyo3::Python<'_>) {
    layout::look(py);
}

/// Whether the head of a `str` is read here: the bindings stop at the interpreter's functions from 3.14 on.
#[cfg(Py_3_14)]
mod layout {
    use std::sync::atomic::{AtomicBool, Ordering};

    use pyo3::types::{PyAnyMethods, PyString, PyType};
    use pyo3::{PyResult, Python, ffi};

    use super::{State, cached};

    static KNOWN: AtomicBool = AtomicBool::new(false);

    #[inline]
    pub(crate) fn is_known() -> bool {
        KNOWN.load(Ordering::Relaxed)
    }

    pub(crate) fn look(py: Python<'_>) {
        KNOWN.store(is_as_expected(py).unwrap_or(false), Ordering::Relaxed);
    }

    /// True if strs of each kind, and one of a subclass, read as the interpreter's functions say that they are.
    fn is_as_expected(py: Python<'_>) -> PyResult<bool> {
        let subclass =
            py.get_type::<PyType>().call1(("Text", (py.get_type::<PyString>(),), pyo3::types::PyDict::new(py)))?;
        for (text, kind) in [
            ("", ffi::PyUnicode_1BYTE_KIND),
            ("a", ffi::PyUnicode_1BYTE_KIND),
            ("how text is stored", ffi::PyUnicode_1BYTE_KIND),
            ("d\u{e9}j\u{e0} vu", ffi::PyUnicode_1BYTE_KIND),
            ("\u{3c9}", ffi::PyUnicode_2BYTE_KIND),
            ("\u{1f600}", ffi::PyUnicode_4BYTE_KIND),
        ] {
            let compact = PyString::new(py, text);
            let other = subclass.call1((&compact,))?;
            for (ob, is_compact) in [(compact.as_ptr(), true), (other.as_ptr(), false)] {
                // SAFETY: attached; the str is alive, and its head as large as is read of it.
                let as_expected = unsafe {
                    let state = State((*ob.cast::<ffi::PyASCIIObject>()).state);
                    let as_said = state.kind() == kind && ffi::PyUnicode_KIND(ob) == kind;
                    as_said
                        && (state.is_ascii(), state.is_compact()) == (text.is_ascii(), is_compact)
                        && std::ptr::eq(state.data(ob), ffi::PyUnicode_DATA(ob))
                        && (!is_compact || text.is_ascii() || {
                            let asked = ffi::PyUnicode_AsUTF8AndSize(ob, std::ptr::null_mut());
                            !asked.is_null()
                                && cached(ob)
                                    .is_some_and(|kept| std::ptr::eq(kept.as_ptr(), asked.cast()) && kept == text)
                        })
                };
                if !as_expected {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}
