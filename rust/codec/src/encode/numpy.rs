//! Numbers and arrays of numpy, read through the buffer protocol.
#![allow(unsafe_code)] // walks over the memory of a buffer that is held

use std::ffi::CStr;
use std::slice;

use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyList;
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

use super::error_path::Segment;
use super::value::Value;
use super::walk::Walk;
use crate::py::buffer::View;

/// Characters of a dtype's name before a message cuts it; one with fields names them all.
const MAX_DTYPE: usize = 64;

/// The number in one cell.
#[derive(Debug, Clone, Copy)]
enum Number {
    Bool,
    Signed,
    Unsigned,
    Float,
}

/// How cells are read.
#[derive(Debug, Clone, Copy)]
struct Cell {
    number: Number,
    bytes: usize,
    swapped: bool,
}

impl Cell {
    /// From a format of the buffer protocol, if it is one number.
    fn of(format: &[u8], bytes: usize) -> Option<Self> {
        let (order, code) = match format {
            [code] => (b'=', *code),
            [order, code] => (*order, *code),
            _ => return None,
        };
        let swapped = match order {
            b'@' | b'=' => false,
            b'<' => cfg!(target_endian = "big"),
            b'>' | b'!' => cfg!(target_endian = "little"),
            _ => return None,
        };
        let (number, widths): (_, &[usize]) = match code {
            b'?' => (Number::Bool, &[1]),
            b'b' | b'h' | b'i' | b'l' | b'q' => (Number::Signed, &[1, 2, 4, 8]),
            b'B' | b'H' | b'I' | b'L' | b'Q' => (Number::Unsigned, &[1, 2, 4, 8]),
            b'e' | b'f' | b'd' => (Number::Float, &[2, 4, 8]),
            _ => return None,
        };
        widths.contains(&bytes).then_some(Self { number, bytes, swapped })
    }

    /// Serializes the cell at `at`.
    ///
    /// # Safety
    /// The cell's bytes can be read there.
    #[inline]
    unsafe fn serialize<S: Serializer>(self, at: *const u8, to: S) -> Result<S::Ok, S::Error> {
        // SAFETY: the caller's promise.
        unsafe {
            match (self.number, self.bytes) {
                (Number::Bool, _) => to.serialize_bool(at.read() != 0),
                (Number::Signed, 1) => to.serialize_i64(i8::from_ne_bytes(self.read(at)).into()),
                (Number::Signed, 2) => to.serialize_i64(i16::from_ne_bytes(self.read(at)).into()),
                (Number::Signed, 4) => to.serialize_i64(i32::from_ne_bytes(self.read(at)).into()),
                (Number::Signed, _) => to.serialize_i64(i64::from_ne_bytes(self.read(at))),
                (Number::Unsigned, 1) => to.serialize_u64(at.read().into()),
                (Number::Unsigned, 2) => to.serialize_u64(u16::from_ne_bytes(self.read(at)).into()),
                (Number::Unsigned, 4) => to.serialize_u64(u32::from_ne_bytes(self.read(at)).into()),
                (Number::Unsigned, _) => to.serialize_u64(u64::from_ne_bytes(self.read(at))),
                (Number::Float, 2) => to.serialize_f32(half(u16::from_ne_bytes(self.read(at)))),
                (Number::Float, 4) => to.serialize_f32(f32::from_ne_bytes(self.read(at))),
                (Number::Float, _) => to.serialize_f64(f64::from_ne_bytes(self.read(at))),
            }
        }
    }

    /// # Safety
    /// `N` bytes can be read at `at`.
    #[inline]
    unsafe fn read<const N: usize>(self, at: *const u8) -> [u8; N] {
        // SAFETY: the caller's promise; an array of bytes has no alignment.
        let mut bytes = unsafe { at.cast::<[u8; N]>().read() };
        if self.swapped {
            bytes.reverse();
        }
        bytes
    }
}

/// A half-precision number, exactly.
fn half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let fraction = f32::from(bits & 0x3ff);
    sign * match bits >> 10 & 0x1f {
        0 => fraction / 16_777_216.0,
        0x1f if fraction == 0.0 => f32::INFINITY,
        0x1f => f32::NAN,
        exponent => (1024.0 + fraction) * f32::from_bits((u32::from(exponent) + 102) << 23),
    }
}

/// How the cells of a view are read, if they are plain numbers.
fn cell_of(view: &View) -> Option<Cell> {
    if view.info().format.is_null() {
        return None;
    }
    // SAFETY: the exporter's format is a C string that lives as long as the view.
    let format = unsafe { CStr::from_ptr(view.info().format) };
    Cell::of(format.to_bytes(), view.info().itemsize.cast_unsigned())
}

/// Lengths and strides of a view's dimensions; none for a scalar.
fn dimensions(view: &View) -> (&[isize], &[isize]) {
    let info = view.info();
    let count = info.ndim.cast_unsigned() as usize;
    if count == 0 || info.shape.is_null() || info.strides.is_null() {
        return (&[], &[]);
    }
    // SAFETY: the exporter keeps as many of both as there are dimensions.
    unsafe { (slice::from_raw_parts(info.shape, count), slice::from_raw_parts(info.strides, count)) }
}

/// Serializes a scalar or an array; what does not hold plain numbers goes to the `default` hook.
#[inline(never)]
pub(super) fn serialize<S: Serializer>(value: Value<'_, '_, '_>, scalar: bool, to: S) -> Result<S::Ok, S::Error> {
    let view = match View::of(&value.object()) {
        Ok(view) => view,
        Err(error) if error.is_instance_of::<PyException>(value.walk.py) => return unknown(value, scalar, to),
        Err(error) => return Err(value.walk.raised(error)),
    };
    let (Some(cell), true) = (cell_of(&view), !scalar || view.info().ndim == 0) else {
        return unknown(value, scalar, to);
    };
    let (shape, strides) = dimensions(&view);
    Rows { walk: value.walk, cell, at: view.info().buf.cast_const().cast(), shape, strides }.serialize(to)
}

/// Hands what does not hold plain numbers to the `default` hook; without one, says what an array holds.
///
/// An array of times is a list of its rows or times.
#[cold]
fn unknown<S: Serializer>(value: Value<'_, '_, '_>, scalar: bool, to: S) -> Result<S::Ok, S::Error> {
    if !scalar && let Some(rows) = times(&value.object()).map_err(|error| value.walk.raised(error))? {
        return value.walk.stand_in(&rows, to);
    }
    if scalar || value.walk.writing.default.is_some() {
        return value.hook(to);
    }
    let dtype = value.object().getattr(intern!(value.walk.py, "dtype")).and_then(|dtype| dtype.str()?.extract());
    let dtype: String = dtype.map_err(|error| value.walk.raised(error))?;
    Err(value.unknown(&format!(" of dtype {dtype:.MAX_DTYPE$}")))
}

/// The rows of an array of times; of one without dimensions its time.
fn times<'py>(array: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = array.py();
    let kind: char = array.getattr(intern!(py, "dtype"))?.getattr(intern!(py, "kind"))?.extract()?;
    Ok(match kind {
        'm' | 'M' if array.getattr(intern!(py, "ndim"))?.extract::<usize>()? == 0 => Some(array.get_item(())?),
        'm' | 'M' => Some(py.get_type::<PyList>().call1((array,))?),
        _ => None,
    })
}

/// A part of an array: the cells that its remaining dimensions span.
struct Rows<'w, 'a, 'py> {
    walk: &'w Walk<'a, 'py>,
    cell: Cell,
    at: *const u8,
    shape: &'w [isize],
    strides: &'w [isize],
}

impl Serialize for Rows<'_, '_, '_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let (Some((&len, shape)), Some((&stride, strides))) = (self.shape.split_first(), self.strides.split_first())
        else {
            // SAFETY: the place of one cell of the buffer, which the caller holds.
            return unsafe { self.cell.serialize(self.at, to) };
        };
        self.walk.enter(len.cast_unsigned())?;
        let mut seq = to.serialize_seq(Some(len.cast_unsigned()))?;
        for index in 0..len {
            // SAFETY: the buffer's own shape and strides lead to another of its cells.
            let at = unsafe { self.at.offset(stride * index) };
            let part = Rows { walk: self.walk, cell: self.cell, at, shape, strides };
            if let Err(error) = seq.serialize_element(&part) {
                return Err(self.walk.at(Segment::Index(index.cast_unsigned()), 0, error));
            }
        }
        self.walk.leave();
        seq.end()
    }
}
