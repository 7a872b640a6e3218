//! Failures as Python exceptions, and back; the only file that names exception classes.

use std::collections::BTreeMap;
use std::sync::Arc;

use pyo3::call::PyCallArgs;
use pyo3::exceptions::{
    PyBaseException, PyBaseExceptionGroup, PyException, PyGeneratorExit, PyImportError, PyRuntimeError, PyTimeoutError,
    PyValueError,
};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyModule, PyTraceback, PyType};

use super::cancel_reasons::Reason;
use super::failure::Failure;
use super::failure_kinds::{FailureKind, PublicAnswer};
use super::{raised_stop_iteration, traceback};
use crate::base::deferred_release::LoopOwned;
use crate::base::interpreter::object_of;
use crate::base::runtime::RuntimeError;
use crate::codec::{DecodeError, EncodeError};

/// Exception classes of `pybridge.errors`, each looked up once.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Class {
    Config,
    Encode,
    Decode,
    LimitExceeded,
    Public,
    InvalidArgument,
    StreamCancelled,
    Overloaded,
    PoolExhausted,
    EngineClosed,
    HandlerExit,
    Fork,
    Internal,
}

const CLASSES: [&str; 13] = [
    "ConfigError",
    "EncodeError",
    "DecodeError",
    "LimitExceeded",
    "PublicError",
    "InvalidArgument",
    "StreamCancelled",
    "Overloaded",
    "PoolExhausted",
    "EngineClosed",
    "HandlerExit",
    "ForkError",
    "InternalError",
];

impl Class {
    pub(crate) fn name(self) -> &'static str {
        CLASSES[self as usize]
    }

    pub(crate) fn of(self, py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
        static CACHE: [PyOnceLock<Py<PyType>>; 13] = [const { PyOnceLock::new() }; 13];
        CACHE[self as usize].import(py, "pybridge.errors", self.name())
    }

    /// An exception of this class with constructor arguments `args`.
    pub(crate) fn error<'py>(self, py: Python<'py>, args: impl PyCallArgs<'py>) -> PyErr {
        match self.of(py).and_then(|class| class.call1(args)) {
            Ok(instance) => PyErr::from_value(instance),
            Err(error) => error,
        }
    }
}

/// An error of Rust that has an exception in Python.
pub trait IntoException {
    /// The Python exception for this error.
    fn into_exception(self, py: Python<'_>) -> PyErr;
}

impl IntoException for EncodeError {
    fn into_exception(self, py: Python<'_>) -> PyErr {
        let message = self.to_string();
        match self {
            Self::Value { path, .. } => Class::Encode.error(py, (message, path)),
            Self::Limit { limit, path, .. } => Class::LimitExceeded.error(py, (message, limit, path)),
            // `SystemExit` and `KeyboardInterrupt` are not wrapped.
            Self::Raised { error, .. } if !error.is_instance_of::<PyException>(py) => error,
            Self::Raised { path, error, .. } => {
                let outer = Class::Encode.error(py, (message, path));
                outer.set_cause(py, Some(error));
                outer
            }
        }
    }
}

impl IntoException for DecodeError {
    fn into_exception(self, py: Python<'_>) -> PyErr {
        match self {
            Self::Invalid { offset, .. } => Class::Decode.error(py, (self.to_string(), offset)),
            Self::Mismatch { reason } => decode_error(py, &reason),
            Self::Limit { limit, .. } => Class::LimitExceeded.error(py, (self.to_string(), limit)),
            Self::Python(error) => error,
        }
    }
}

/// The failure that an exception of the handler (or of its encoding) ends a stream with. `keep` holds the exception itself for
/// a consumer in Python; for all others the traceback becomes text.
pub(crate) fn failure_of(py: Python<'_>, error: &PyErr, keep: Option<impl FnOnce(Py<PyAny>) -> LoopOwned>) -> Failure {
    let replaced = raised_stop_iteration::replacement(py, error);
    let error = replaced.as_ref().unwrap_or(error);
    let class = class_name(py, error);
    let is = |class: Class| class.of(py).is_ok_and(|class| error.is_instance(py, class.as_any()));
    let answer = if is(Class::Public) { public_answer(error.value(py)).ok().map(Box::new) } else { None };
    let kind = if answer.is_some() {
        if is(Class::InvalidArgument) { FailureKind::InvalidArgument } else { FailureKind::Public }
    } else if is(Class::Encode) || is(Class::LimitExceeded) {
        FailureKind::Encode
    } else if is(Class::Decode) {
        FailureKind::Decode
    } else if is(Class::Overloaded) {
        FailureKind::Overloaded
    } else if is(Class::PoolExhausted) {
        FailureKind::PoolExhausted
    } else if is(Class::EngineClosed) {
        FailureKind::Closed
    } else if is(Class::HandlerExit) {
        FailureKind::HandlerExit
    } else if is(Class::Internal) {
        FailureKind::Internal
    } else if error.is_instance_of::<PyTimeoutError>(py) {
        FailureKind::Timeout
    } else {
        FailureKind::Handler
    };
    let message = text(py, error);
    let public_message = kind.public_text().map_or_else(|| message.clone(), str::to_owned);
    let limit_of = || error.value(py).getattr(intern!(py, "limit")).ok()?.extract::<String>().ok();
    let limit = if is(Class::LimitExceeded) { limit_of().map(String::into_boxed_str) } else { None };
    let traceback = if keep.is_none() && answer.is_none() { traceback::text_of(py, error) } else { None };
    let original = keep.map(|keep| Arc::new(keep(object_of(py, error))));
    Failure { kind, class, public_message, message, traceback, limit, answer, original }
}

/// The name of an exception's class.
pub(crate) fn class_name(py: Python<'_>, error: &PyErr) -> String {
    error.get_type(py).qualname().map_or_else(|_| "Exception".to_owned(), |name| name.to_string())
}

/// What an exception says.
pub(crate) fn text(py: Python<'_>, error: &PyErr) -> String {
    error.value(py).str().map_or_else(|_| "<unprintable>".to_owned(), |text| text.to_string_lossy().into_owned())
}

/// What a `PublicError` says beside its text; an error where a subclass holds something else, whose text is then not
/// public.
fn public_answer(error: &Bound<'_, PyBaseException>) -> PyResult<PublicAnswer> {
    let py = error.py();
    let status: u16 = error.getattr(intern!(py, "status"))?.extract()?;
    let retryable = error.getattr(intern!(py, "retryable"))?.extract()?;
    let code: Option<String> = error.getattr(intern!(py, "code"))?.extract()?;
    let headers: BTreeMap<String, String> = error.getattr(intern!(py, "headers"))?.extract()?;
    let texts = headers.iter().flat_map(|(name, value)| [name, value]).chain(&code);
    if !(400..=599).contains(&status) || texts.flat_map(|text| text.chars()).any(char::is_control) {
        return Err(PyValueError::new_err("no answer that can be sent"));
    }
    Ok(PublicAnswer { status, retryable, code, headers })
}

/// True for what a handler raises when it does nothing but give way to its being closed: `GeneratorExit`, alone or as all
/// that a group holds, and the cancellation of a nested stream with its parent.
pub(crate) fn is_only_the_close(py: Python<'_>, error: &PyErr) -> bool {
    let value = error.value(py);
    if error.is_instance_of::<PyBaseExceptionGroup>(py) {
        let parts = value.call_method1(intern!(py, "split"), (py.get_type::<PyGeneratorExit>(),));
        return parts.and_then(|parts| parts.get_item(1)).is_ok_and(|rest| rest.is_none());
    }
    error.is_instance_of::<PyGeneratorExit>(py)
        || Class::StreamCancelled.of(py).is_ok_and(|class| error.is_instance(py, class.as_any()))
            && value
                .getattr(intern!(py, "reason"))
                .is_ok_and(|reason| reason.eq(Reason::Parent.as_str()).unwrap_or(false))
}

/// What a handler raised, made anew from its text: of the same class if that is one of Python's own.
fn raised_again(py: Python<'_>, failure: &Failure) -> PyErr {
    let class = py.import(intern!(py, "builtins")).and_then(|builtins| builtins.getattr(failure.class.as_str()));
    let made = class.and_then(|class| class.call1((failure.message.as_str(),)));
    match made {
        Ok(error) if error.is_instance_of::<PyException>() => PyErr::from_value(error),
        _ => PyRuntimeError::new_err(format!("{}: {}", failure.class, failure.message)),
    }
}

/// The exception a Python consumer gets for a failure: the original object where there is one.
pub(crate) fn raise_failure(py: Python<'_>, failure: &Failure) -> PyErr {
    if let Some(original) = &failure.original {
        return PyErr::from_value(original.get(py).clone_ref(py).into_bound(py));
    }
    let class = match failure.kind {
        FailureKind::Public => Class::Public,
        FailureKind::InvalidArgument => Class::InvalidArgument,
        FailureKind::Encode => return Class::Encode.error(py, (failure.message.clone(), "$")),
        FailureKind::Decode => return decode_error(py, &failure.message),
        FailureKind::TooLarge => {
            let limit = failure.limit.as_deref().unwrap_or("max_frame_bytes");
            return Class::LimitExceeded.error(py, (failure.message.clone(), limit));
        }
        FailureKind::Overloaded => Class::Overloaded,
        FailureKind::PoolExhausted => Class::PoolExhausted,
        FailureKind::Closed => Class::EngineClosed,
        FailureKind::HandlerExit => Class::HandlerExit,
        FailureKind::Fork => Class::Fork,
        FailureKind::Handler | FailureKind::Timeout => return raised_again(py, failure),
        FailureKind::Internal => Class::Internal,
    };
    class.error(py, (failure.message.clone(),))
}

/// The exception a Python consumer gets for a cancelled stream.
pub(crate) fn raise_cancelled(py: Python<'_>, reason: Reason) -> PyErr {
    Class::StreamCancelled.error(py, (reason.as_str(),))
}

/// The exception for a message that could not be decoded, wherever in it.
pub(crate) fn decode_error(py: Python<'_>, reason: &str) -> PyErr {
    Class::Decode.error(py, (reason, 0))
}

/// The exception for a runtime that cannot be had.
#[doc(hidden)]
pub fn runtime_error(py: Python<'_>, error: RuntimeError) -> PyErr {
    match error {
        RuntimeError::Forked => Class::Fork.error(
            py,
            ("pybridge was started before this process was forked: only the parent may use it; start it after the fork",),
        ),
        RuntimeError::Stopped => Class::EngineClosed.error(py, ("the interpreter is shutting down",)),
        RuntimeError::Configured => {
            Class::Config.error(py, ("workers", "the runtime has started, or was configured, with another number"))
        }
        RuntimeError::Threads => Class::Internal.error(py, ("the runtime's threads could not be started",)),
    }
}

/// `ImportError` for an extension module that is not the one linked into this program.
pub(crate) fn foreign_extension(loaded: &Bound<'_, PyModule>, version: &str) -> PyErr {
    let file = loaded.filename().map_or_else(|_| "another binary".to_owned(), |name| name.to_string());
    PyImportError::new_err(format!(
        "pybridge was imported from {file}, but this program has pybridge {version} linked in, and they share no \
         types: call pybridge::embed::install before anything imports pybridge"
    ))
}

/// `ConfigError` for a field that the pool refuses.
pub(crate) fn config_error(py: Python<'_>, error: &pybridge_pool::ConfigError) -> PyErr {
    Class::Config.error(py, (error.field, error.reason.clone()))
}

/// The exception that `throw(typ, val, tb)` stands for.
pub(crate) fn thrown(
    typ: &Bound<'_, PyAny>,
    val: Option<&Bound<'_, PyAny>>,
    tb: Option<&Bound<'_, PyAny>>,
) -> PyResult<PyErr> {
    let error = if typ.is_instance_of::<PyBaseException>() {
        PyErr::from_value(typ.clone())
    } else if let Some(value) = val.filter(|value| value.is_instance_of::<PyBaseException>()) {
        PyErr::from_value(value.clone())
    } else {
        let class = typ.cast::<PyType>()?;
        let instance = match val.filter(|value| !value.is_none()) {
            Some(value) => class.call1((value,))?,
            None => class.call0()?,
        };
        PyErr::from_value(instance)
    };
    if let Some(tb) = tb.and_then(|tb| tb.cast::<PyTraceback>().ok()) {
        error.set_traceback(typ.py(), Some(tb.clone()));
    }
    Ok(error)
}

/// The error of a unary handler's value that cannot be encoded; of one that gives items it says what to do.
pub(crate) fn of_value(error: PyErr, value: &Bound<'_, PyAny>) -> PyErr {
    if !value.hasattr("__aiter__").unwrap_or(false) {
        return error;
    }
    let remedy = "make the handler an async generator function itself, or say unary=False (pybridge serve: --no-unary)";
    let message = format!("{}; it gives items: {remedy}", error.value(value.py()));
    Class::Encode.error(value.py(), (message, "$"))
}
