//! Times, identifiers and decimals as text in their standard forms.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{
    PyDate, PyDateAccess, PyDateTime, PyDelta, PyDeltaAccess, PyString, PyTime, PyTimeAccess, PyType, PyTzInfo,
    PyTzInfoAccess,
};

/// What is written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Temporal {
    DateTime,
    Date,
    Time,
    Uuid,
    Decimal,
}

/// Bytes of the longest time: `2024-12-31T23:59:59.999999+23:59`, and of a UUID.
const LONGEST: usize = 36;

/// Minutes of the largest offset that the standard can say, 23:59.
const LARGEST_OFFSET: u32 = 23 * 60 + 59;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// ASCII text.
pub(super) enum Standard<'py> {
    Short { bytes: [u8; LONGEST], len: usize },
    Object(Bound<'py, PyString>),
}

impl Standard<'_> {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Short { bytes, len } => std::str::from_utf8(&bytes[..*len]).unwrap_or_default(),
            Self::Object(text) => text.to_str().unwrap_or_default(),
        }
    }
}

/// A line of a known greatest length.
struct Line {
    bytes: [u8; LONGEST],
    len: usize,
}

impl Line {
    fn new() -> Self {
        Self { bytes: [0; LONGEST], len: 0 }
    }

    fn put(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }

    /// `value` in `width` decimal digits.
    fn digits(&mut self, value: u32, width: u32) {
        for place in (0..width).rev() {
            self.put(b'0' + (value / 10_u32.pow(place) % 10) as u8);
        }
    }

    fn date(&mut self, date: &impl PyDateAccess) {
        self.digits(date.get_year().unsigned_abs(), 4);
        self.put(b'-');
        self.digits(date.get_month().into(), 2);
        self.put(b'-');
        self.digits(date.get_day().into(), 2);
    }

    fn time(&mut self, time: &impl PyTimeAccess) {
        self.digits(time.get_hour().into(), 2);
        self.put(b':');
        self.digits(time.get_minute().into(), 2);
        self.put(b':');
        self.digits(time.get_second().into(), 2);
        let micros = time.get_microsecond();
        if micros != 0 {
            self.put(b'.');
            self.digits(micros, 6);
        }
    }

    /// The offset to UTC in minutes, which is all that the standard can say.
    fn offset(&mut self, offset: &Bound<'_, PyDelta>) {
        let seconds = offset.get_days() * 86_400 + offset.get_seconds();
        let minutes = ((seconds.unsigned_abs() + 30) / 60).min(LARGEST_OFFSET);
        self.put(if seconds < 0 && minutes > 0 { b'-' } else { b'+' });
        self.digits(minutes / 60, 2);
        self.put(b':');
        self.digits(minutes % 60, 2);
    }
}

/// The text of an object that is of this kind.
///
/// # Errors
/// What the object's time zone raises.
pub(super) fn text<'py>(kind: Temporal, object: &Bound<'py, PyAny>) -> PyResult<Standard<'py>> {
    let py = object.py();
    let mut line = Line::new();
    match kind {
        Temporal::DateTime => {
            let time = object.cast::<PyDateTime>()?;
            line.date(time);
            line.put(b'T');
            line.time(time);
            zone(&mut line, time.get_tzinfo(), &py.get_type::<PyDateTime>(), object)?;
        }
        Temporal::Date => line.date(object.cast::<PyDate>()?),
        Temporal::Time => {
            let time = object.cast::<PyTime>()?;
            line.time(time);
            zone(&mut line, time.get_tzinfo(), &py.get_type::<PyTime>(), object)?;
        }
        Temporal::Uuid => {
            let value: u128 = object.getattr(intern!(py, "int"))?.extract()?;
            for (digit, place) in (0..32).rev().enumerate() {
                if matches!(digit, 8 | 12 | 16 | 20) {
                    line.put(b'-');
                }
                line.put(HEX[(value >> (4 * place)) as usize & 15]);
            }
        }
        Temporal::Decimal => {
            static DECIMAL: PyOnceLock<Py<PyType>> = PyOnceLock::new();
            let class = DECIMAL.import(py, "decimal", "Decimal")?;
            let text = class.call_method1(intern!(py, "__str__"), (object,))?;
            return Ok(Standard::Object(text.cast_into()?));
        }
    }
    Ok(Standard::Short { bytes: line.bytes, len: line.len })
}

/// The offset to UTC, if the time has one; asked through the base class, so that no override is called.
fn zone(
    line: &mut Line,
    zone: Option<Bound<'_, PyTzInfo>>,
    class: &Bound<'_, PyType>,
    time: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let Some(zone) = zone else { return Ok(()) };
    let py = time.py();
    if PyTzInfo::utc(py).is_ok_and(|utc| zone.is(utc)) {
        b"+00:00".iter().for_each(|&byte| line.put(byte));
        return Ok(());
    }
    let offset = class.call_method1(intern!(py, "utcoffset"), (time,))?;
    if !offset.is_none() {
        line.offset(offset.cast()?);
    }
    Ok(())
}
