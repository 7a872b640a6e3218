//! Texts of exceptions.

use pyo3::PyErr;

/// Class and text of an exception, for messages.
pub fn said(error: &PyErr) -> String {
    let text = error.to_string();
    text.strip_suffix(": ").map(str::to_owned).unwrap_or(text)
}
