//! Times, identifiers, decimals, paths and addresses as text in their standard forms.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{
    PyDate, PyDateAccess, PyDateTime, PyDelta, PyDeltaAccess, PyTime, PyTimeAccess, PyType, PyTzInfo, PyTzInfoAccess,
};

use super::durations;
use super::text_form::{AsciiLine, TextForm};

/// What is written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Temporal {
    DateTime,
    Date,
    Time,
    Delta,
    Uuid,
    Decimal,
    Path,
    Address,
    /// A `datetime64` of numpy.
    Numpy,
    /// A `timedelta64` of numpy.
    NumpyDelta,
}

/// Minutes of the largest offset that the standard can say, 23:59.
const LARGEST_OFFSET: u32 = 23 * 60 + 59;

const HEX: &[u8; 16] = b"0123456789abcdef";

impl AsciiLine {
    fn date(&mut self, date: &impl PyDateAccess) {
        self.digits(date.get_year().unsigned_abs(), 4);
        self.put(b'-');
        self.digits(date.get_month().into(), 2);
        self.put(b'-');
        self.digits(date.get_day().into(), 2);
    }

    /// A time of day with `nanos` more than its microseconds.
    fn time(&mut self, time: &impl PyTimeAccess, nanos: u32) {
        self.digits(time.get_hour().into(), 2);
        self.put(b':');
        self.digits(time.get_minute().into(), 2);
        self.put(b':');
        self.digits(time.get_second().into(), 2);
        let micros = time.get_microsecond();
        if micros != 0 || nanos != 0 {
            self.put(b'.');
            self.digits(micros, 6);
        }
        if nanos != 0 {
            self.digits(nanos, 3);
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
pub(super) fn text<'py>(kind: Temporal, object: &Bound<'py, PyAny>) -> PyResult<TextForm<'py>> {
    text_with(kind, object, 0)
}

/// The same for an object whose class compares for itself, as what is no time does, or counts nanoseconds.
///
/// # Errors
/// What the object's methods raise.
pub(super) fn foreign<'py>(kind: Temporal, object: &Bound<'py, PyAny>) -> PyResult<TextForm<'py>> {
    let py = object.py();
    if !object.eq(object)? {
        return Ok(TextForm::Null);
    }
    let name = if kind == Temporal::Delta { intern!(py, "nanoseconds") } else { intern!(py, "nanosecond") };
    let Some(nanos) = object.getattr_opt(name)?.and_then(|nanos| nanos.extract::<u32>().ok()) else {
        return text(kind, object);
    };
    match object.cast::<PyDelta>() {
        Ok(delta) => durations::counted(delta, nanos.into()).map(TextForm::Long),
        // It may stand for a year that its storage cannot hold.
        Err(_) if object.getattr(intern!(py, "year"))?.extract::<i32>()? != object.cast::<PyDate>()?.get_year() => {
            Ok(TextForm::None)
        }
        Err(_) => text_with(kind, object, nanos % 1000),
    }
}

fn text_with<'py>(kind: Temporal, object: &Bound<'py, PyAny>, nanos: u32) -> PyResult<TextForm<'py>> {
    let py = object.py();
    let mut line = AsciiLine::new();
    match kind {
        Temporal::DateTime => {
            let time = object.cast::<PyDateTime>()?;
            line.date(time);
            line.put(b'T');
            line.time(time, nanos);
            zone(&mut line, time.get_tzinfo(), &py.get_type::<PyDateTime>(), object)?;
        }
        Temporal::Date => line.date(object.cast::<PyDate>()?),
        Temporal::Time => {
            let time = object.cast::<PyTime>()?;
            line.time(time, nanos);
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
        Temporal::Delta => return Ok(TextForm::Long(durations::delta(object.cast()?))),
        Temporal::Decimal => {
            static DECIMAL: PyOnceLock<Py<PyType>> = PyOnceLock::new();
            return canonical(DECIMAL.import(py, "decimal", "Decimal")?, object);
        }
        Temporal::Path => {
            static PATH: PyOnceLock<Py<PyType>> = PyOnceLock::new();
            return canonical(PATH.import(py, "pathlib", "PurePath")?, object);
        }
        Temporal::Address => return Ok(TextForm::Object(object.str()?)),
        Temporal::Numpy => {
            let text = object.str()?;
            return Ok(if text == "NaT" { TextForm::Null } else { TextForm::Long(moment(text.to_str()?)) });
        }
        Temporal::NumpyDelta => return durations::numpy(object),
    }
    Ok(TextForm::Short(line))
}

/// The text that a class of the standard library gives, whatever classes that inherit from it say.
fn canonical<'py>(class: &Bound<'py, PyType>, object: &Bound<'py, PyAny>) -> PyResult<TextForm<'py>> {
    let text = class.call_method1(intern!(object.py(), "__str__"), (object,))?;
    Ok(TextForm::Object(text.cast_into()?))
}

/// Numpy's text of a moment, with the digits of other times: seconds always, and six, nine or more decimal places where
/// they are not zero. A date stays a date.
fn moment(text: &str) -> String {
    let Some((date, time)) = text.split_once('T') else { return text.into() };
    let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
    let seconds = ":00:00".get(clock.len().saturating_sub(2)..).unwrap_or_default();
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() {
        return format!("{date}T{clock}{seconds}");
    }
    let width = fraction.len().next_multiple_of(3).max(6);
    format!("{date}T{clock}{seconds}.{fraction:0<width$}")
}

/// The offset to UTC, if the time has one; asked through the base class, so that no override is called.
fn zone(
    line: &mut AsciiLine,
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
