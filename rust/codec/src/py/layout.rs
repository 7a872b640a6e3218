//! Storage of ints, dicts and bytes, read where `CPython` keeps it.
#![allow(unsafe_code)] // each function reads one object's storage, which no code of that object can alter meanwhile
#![expect(clippy::inline_always, reason = "one int of a list of many")]

use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::ffi;

/// An integer within the range that the formats share.
pub(crate) enum Int {
    /// -2^63 .. 2^63-1.
    Signed(i64),
    /// 2^63 .. 2^64-1.
    Unsigned(u64),
    /// Outside.
    TooLarge,
}

/// The head of an `int`: its sign and size, then its digits.
#[repr(C)]
struct LongHead {
    base: ffi::PyObject,
    #[cfg(Py_3_12)]
    tag: usize,
    #[cfg(not(Py_3_12))]
    size: isize,
    digits: [u32; 2],
}

/// Bits of a digit.
const DIGIT: u32 = 30;

/// Ints of two digits and fewer are read here and not by the interpreter: their layout was found to be as expected.
/// `CPython` can be built with smaller digits.
pub(crate) static READ_DIGITS: AtomicBool = AtomicBool::new(false);

/// Whether the layout was looked at.
static PROBED: AtomicBool = AtomicBool::new(false);

/// The value of `ob` if it has no more than two digits.
#[inline(always)]
unsafe fn small_int(ob: *mut ffi::PyObject) -> Option<i64> {
    // SAFETY: the caller passes a live int; the second digit is read only where there is one.
    unsafe {
        let head = ob.cast::<LongHead>();
        #[cfg(Py_3_12)]
        let (negative, size) = ((*head).tag & 3 == 2, (*head).tag >> 3);
        #[cfg(not(Py_3_12))]
        let (negative, size) = ((*head).size < 0, (*head).size.unsigned_abs());
        let digits = &raw const (*head).digits;
        let value = match size {
            0 => 0,
            1 => i64::from((*digits)[0]),
            2 => i64::from((*digits)[0]) | i64::from((*digits)[1]) << DIGIT,
            _ => return None,
        };
        Some(if negative { -value } else { value })
    }
}

/// True if the digits of ints are read here; looks at their layout first.
///
/// # Safety
/// The calling thread is attached.
#[inline]
pub(crate) unsafe fn reads_digits() -> bool {
    // SAFETY: the caller's promise.
    READ_DIGITS.load(Ordering::Relaxed) || unsafe { probe() }
}

/// The value of `ob`.
///
/// # Safety
/// `ob` is a live `int` or of a subclass; the calling thread is attached.
#[inline]
pub(crate) unsafe fn int(ob: *mut ffi::PyObject) -> Int {
    // SAFETY: the caller's promise.
    unsafe { if reads_digits() { int_of_digits(ob) } else { large_int(ob) } }
}

/// The value of `ob`, for many of them in a row.
///
/// # Safety
/// As for [`int`]; [`reads_digits`] said yes.
#[inline(always)]
pub(crate) unsafe fn int_of_digits(ob: *mut ffi::PyObject) -> Int {
    // SAFETY: the caller's promise.
    unsafe { small_int(ob).map_or_else(|| large_int(ob), Int::Signed) }
}

#[cold]
#[inline(never)]
unsafe fn probe() -> bool {
    if PROBED.swap(true, Ordering::Relaxed) {
        return false;
    }
    // SAFETY: the caller is attached.
    let found = unsafe { probe_digits() };
    READ_DIGITS.store(found, Ordering::Relaxed);
    found
}

/// True if digits are as the interpreter says that they are, and ints of every small size read as what they are.
///
/// # Safety
/// The calling thread is attached.
unsafe fn probe_digits() -> bool {
    // SAFETY: attached; the references are owned, and released once; `sys.int_info` begins with a digit's bits and bytes.
    unsafe {
        let info = ffi::PyLong_GetInfo();
        if info.is_null() {
            ffi::PyErr_Clear();
            return false;
        }
        let fact = |index| ffi::PyLong_AsLong(ffi::PyStructSequence_GetItem(info, index));
        let expected = (fact(0), fact(1)) == (DIGIT.into(), 4);
        ffi::Py_DECREF(info);
        expected
            && [0, 1, (1 << DIGIT) - 1, 1 << DIGIT, (1 << (2 * DIGIT)) - 1].into_iter().all(|value: i64| {
                [value, -value].into_iter().all(|value| {
                    let ob = ffi::PyLong_FromLongLong(value);
                    if ob.is_null() {
                        ffi::PyErr_Clear();
                        return false;
                    }
                    let read = small_int(ob);
                    ffi::Py_DECREF(ob);
                    read == Some(value)
                })
            })
    }
}

#[inline(never)]
unsafe fn large_int(ob: *mut ffi::PyObject) -> Int {
    let mut overflow = 0;
    // SAFETY: the caller passes a live int.
    let value = unsafe { ffi::PyLong_AsLongLongAndOverflow(ob, &raw mut overflow) };
    match overflow {
        0 => Int::Signed(value),
        // SAFETY: as above; the error that an overflow leaves is cleared.
        1 => unsafe {
            let value = ffi::PyLong_AsUnsignedLongLong(ob);
            if value == u64::MAX && !ffi::PyErr_Occurred().is_null() {
                ffi::PyErr_Clear();
                return Int::TooLarge;
            }
            Int::Unsigned(value)
        },
        _ => Int::TooLarge,
    }
}

/// Number of entries of `ob`.
///
/// # Safety
/// `ob` is a live `dict` or of a subclass.
#[inline]
pub(crate) unsafe fn dict_len(ob: *mut ffi::PyObject) -> isize {
    // SAFETY: the caller's promise.
    unsafe { (*ob.cast::<ffi::PyDictObject>()).ma_used }
}

/// The bytes of `ob`.
///
/// # Safety
/// `ob` is a live `bytes` or `bytearray` or of a subclass, and no Python code runs during `'a`.
pub(crate) unsafe fn bytes<'a>(ob: *mut ffi::PyObject) -> &'a [u8] {
    // SAFETY: the caller passes a live bytes or bytearray, and nothing can resize it during 'a.
    unsafe {
        if ffi::PyBytes_Check(ob) != 0 {
            std::slice::from_raw_parts(ffi::PyBytes_AS_STRING(ob).cast(), ffi::PyBytes_Size(ob).cast_unsigned())
        } else {
            std::slice::from_raw_parts(ffi::PyByteArray_AsString(ob).cast(), ffi::PyByteArray_Size(ob).cast_unsigned())
        }
    }
}
