//! Cache of map keys: the `str` objects, with their hashes, of keys that were decoded before.
#![allow(unsafe_code)] // holds owned references as plain pointers

use pyo3::{Python, ffi};

use crate::py::construct;
use crate::py::gil_cell::GilCell;

/// Slots of the table; the keys of a few dozen message shapes.
const SLOTS: usize = 2048;
/// Longer keys are seldom names.
const LONGEST: usize = 32;

/// A key and its text, short text in two words and without a look at the object.
#[derive(Clone, Copy)]
struct Slot {
    words: [u64; 2],
    /// Its length and one; 0 where there is no key.
    mark: usize,
    key: *mut ffi::PyObject,
}

const EMPTY: Slot = Slot { words: [0; 2], mark: 0, key: std::ptr::null_mut() };

static TABLE: GilCell<[Slot; SLOTS]> = GilCell::new([EMPTY; SLOTS]);

/// A new reference to the `str` of this text, if it is in the table.
#[inline]
pub(super) fn get(py: Python<'_>, text: &[u8]) -> Option<*mut ffi::PyObject> {
    if text.len() > LONGEST {
        return None;
    }
    let words = words(text);
    // SAFETY: no Python code runs here; slots with the mark of a key hold an ASCII str.
    unsafe {
        let slot = &TABLE.get(py)[place(words, text.len())];
        if slot.mark != text.len() + 1
            || slot.words != words
            || text.len() > WORDS && !equal(construct::ascii_text(slot.key), text)
        {
            return None;
        }
        ffi::Py_INCREF(slot.key);
        Some(slot.key)
    }
}

/// A new `str` of this text, which is ASCII, put into the table if it may be a name; null with an exception set if
/// there is no memory.
pub(super) fn add(py: Python<'_>, text: &[u8]) -> *mut ffi::PyObject {
    let key = construct::ascii(py, text);
    if text.len() > LONGEST || key.is_null() {
        return key;
    }
    let words = words(text);
    // SAFETY: neither hashing nor releasing an exact str runs Python code.
    unsafe {
        ffi::PyObject_Hash(key);
        ffi::Py_INCREF(key);
        let slot = &mut TABLE.get(py)[place(words, text.len())];
        let before = std::mem::replace(slot, Slot { words, mark: text.len() + 1, key });
        ffi::Py_XDECREF(before.key);
    }
    key
}

#[inline]
fn place(words: [u64; 2], len: usize) -> usize {
    mix(words, len) as usize % SLOTS
}

/// Bytes that two words can hold.
const WORDS: usize = 16;

/// Short text as two words: up to [`WORDS`] bytes all of it, so that texts of one length are equal if their words are; of
/// longer text its first and last bytes.
#[inline]
fn words(text: &[u8]) -> [u64; 2] {
    if let (Some(head), Some(tail)) = (text.first_chunk(), text.last_chunk()) {
        return [u64::from_le_bytes(*head), u64::from_le_bytes(*tail)];
    }
    if let (Some(head), Some(tail)) = (text.first_chunk(), text.last_chunk()) {
        return [u32::from_le_bytes(*head).into(), u32::from_le_bytes(*tail).into()];
    }
    match *text {
        [first, .., last] => [u64::from(first) | u64::from(last) << 8, text[text.len() / 2].into()],
        [only] => [only.into(), 0],
        [] => [0; 2],
    }
}

/// A hash of [`words`] and the length of their text.
#[inline]
fn mix([head, tail]: [u64; 2], len: usize) -> u64 {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let hash = (head ^ len as u64).wrapping_mul(MULTIPLIER).rotate_left(29) ^ tail;
    let hash = hash.wrapping_mul(MULTIPLIER);
    hash ^ hash >> 32
}

/// True if two texts are equal; no call, made for short ones.
#[inline]
fn equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() || words(a) != words(b) {
        return false;
    }
    let (mut x, mut y) = (a, b);
    while let (Some((v, more_x)), Some((w, more_y))) = (x.split_first_chunk::<8>(), y.split_first_chunk::<8>()) {
        if v != w {
            return false;
        }
        (x, y) = (more_x, more_y);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_texts_are_equal_when_their_bytes_are() {
        let text: Vec<u8> = (0..40u32).map(|i| (i * 7 % 100) as u8).collect();
        for len in 0..40 {
            assert!(equal(&text[..len], &text[..len]));
            assert_eq!(words(&text[..len]), words(&text[..len]));
            for at in 0..len {
                let mut other = text[..len].to_vec();
                other[at] ^= 0x80;
                assert!(!equal(&text[..len], &other));
                assert!(len > WORDS || words(&text[..len]) != words(&other));
            }
        }
    }
}
