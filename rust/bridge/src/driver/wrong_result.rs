//! The `TypeError` for a result of a handler that is no stream, or no value: what it is, and the remedy.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

/// The error of a handler whose result cannot be streamed: what it returned, and what to do about it.
pub(super) fn wrong_result(value: &Bound<'_, PyAny>, awaited: bool, unary: bool) -> PyErr {
    let kind = value.get_type().qualname().map_or_else(|_| "object".to_owned(), |name| name.to_string());
    let returned = if awaited { "the handler's coroutine returned" } else { "the handler returned" };
    let message = if unary {
        format!(
            "{returned} {kind}: with unary=True the handler must be a coroutine function that returns the one value"
        )
    } else if awaited {
        format!(
            "{returned} {kind}, which is no async generator: make the handler yield, or say unary=True for one value"
        )
    } else if value.hasattr("__next__").unwrap_or(false) {
        format!("{returned} {kind}, which is not asynchronous: wrap the handler in pybridge.from_sync()")
    } else {
        format!(
            "{returned} {kind}, which is neither an async generator nor awaitable: write `async def` with `yield` for items, \
             or with `return` and unary=True for one value"
        )
    };
    PyTypeError::new_err(message)
}
