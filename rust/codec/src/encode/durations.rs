//! Durations as ISO 8601 text.

use std::fmt::Write;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDelta, PyDeltaAccess};

use super::text_form::TextForm;

const DAY: u128 = 86_400;

/// Nanoseconds of a second.
const NANOS: i128 = 1_000_000_000;

/// Days and seconds, as msgspec writes them; `parts` are seconds with so many decimal digits.
fn iso(parts: i128, digits: u32) -> String {
    let (second, all) = (10_u128.pow(digits), parts.unsigned_abs());
    let (days, rest) = (all / (DAY * second), all % (DAY * second));
    let mut text = String::from(if parts < 0 { "-P" } else { "P" });
    if days > 0 || rest == 0 {
        _ = write!(text, "{days}D");
    }
    if rest > 0 {
        _ = write!(text, "T{}", rest / second);
        if rest % second > 0 {
            _ = write!(text, ".{:0width$}", rest % second, width = digits as usize);
            text.truncate(text.trim_end_matches('0').len());
        }
        text.push('S');
    }
    text
}

/// A `timedelta`, by its storage.
pub(super) fn delta(delta: &Bound<'_, PyDelta>) -> String {
    nanoseconds(delta.get_days().into(), delta.get_seconds().into(), delta.get_microseconds().into(), 0)
}

fn nanoseconds(days: i64, seconds: i64, micros: i64, nanos: i64) -> String {
    let seconds = i128::from(days) * 86_400 + i128::from(seconds);
    iso(seconds * NANOS + i128::from(micros) * 1000 + i128::from(nanos), 9)
}

/// A duration of a class that counts nanoseconds, by its attributes: storage may hold less.
pub(super) fn counted(delta: &Bound<'_, PyDelta>, nanos: i64) -> PyResult<String> {
    let py = delta.py();
    let part = |name| delta.getattr(name)?.extract();
    let (days, seconds) = (part(intern!(py, "days"))?, part(intern!(py, "seconds"))?);
    Ok(nanoseconds(days, seconds, part(intern!(py, "microseconds"))?, nanos))
}

/// A `timedelta64` of numpy: years and months as such, what has no unit not at all.
pub(super) fn numpy<'py>(delta: &Bound<'py, PyAny>) -> PyResult<TextForm<'py>> {
    let py = delta.py();
    let count: i64 = delta.call_method1(intern!(py, "view"), (intern!(py, "i8"),))?.extract()?;
    if count == i64::MIN {
        return Ok(TextForm::Null);
    }
    let dtype = delta.getattr(intern!(py, "dtype"))?;
    let unit = py.import(intern!(py, "numpy"))?.call_method1(intern!(py, "datetime_data"), (dtype,))?;
    let (unit, size): (String, i64) = unit.extract()?;
    let count = i128::from(count) * i128::from(size);
    let whole = |seconds: i128| iso(count * seconds, 0);
    Ok(TextForm::Long(match unit.as_str() {
        "Y" | "M" => format!("{}P{}{unit}", if count < 0 { "-" } else { "" }, count.unsigned_abs()),
        "W" => whole(7 * 86_400),
        "D" => whole(86_400),
        "h" => whole(3600),
        "m" => whole(60),
        "s" => whole(1),
        "ms" => iso(count, 3),
        "us" => iso(count, 6),
        "ns" => iso(count, 9),
        "ps" => iso(count, 12),
        "fs" => iso(count, 15),
        "as" => iso(count, 18),
        _ => return Ok(TextForm::None),
    }))
}
