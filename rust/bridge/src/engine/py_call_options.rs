//! The options of one call from Python, which the package has checked.

use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::py_codec::PyCodec;
use crate::codec::CodecSpec;
use crate::consumer::Context;
use crate::driver::current_stream;
use crate::state::{CallOptions, StreamState};

/// The keywords of one call.
#[derive(Default)]
pub(super) struct PyCallOptions {
    /// What the request is encoded in, if it is bytes.
    pub(super) encoded: Option<Arc<CodecSpec>>,
    call: CallOptions,
    parent: Option<Arc<StreamState>>,
    /// It is no part of the call that code runs in.
    is_alone: bool,
}

impl PyCallOptions {
    /// What is said about the call, and the call that it is part of.
    pub(super) fn resolve(self, py: Python<'_>) -> PyResult<(CallOptions, Option<Arc<StreamState>>)> {
        let Self { call: mut options, mut parent, is_alone, .. } = self;
        if parent.is_none() && !is_alone {
            parent = current_stream(py)?;
        }
        if let Some(parent) = &parent {
            options.inherit(&parent.options);
        }
        Ok((options, parent))
    }
}

impl FromPyObject<'_, '_> for PyCallOptions {
    type Error = PyErr;

    fn extract(keywords: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let mut options = Self::default();
        for (name, value) in keywords.cast::<PyDict>()?.iter() {
            let (name, call) = (name.cast::<PyString>()?, &mut options.call);
            match name.to_str()? {
                "encoded" => {
                    let codec = value.extract::<Option<Bound<'_, PyCodec>>>()?;
                    options.encoded = codec.map(|codec| Arc::clone(&codec.get().spec));
                }
                "request_id" => call.request_id = value.extract()?,
                "metadata" => call.metadata = value.extract::<Option<_>>()?.unwrap_or_default(),
                "timeout" => call.timeout = duration(value.extract()?)?,
                "idle_timeout" => call.idle_timeout = duration(value.extract()?)?,
                "traceparent" => call.traceparent = value.extract()?,
                "tracestate" => call.tracestate = value.extract()?,
                "parent" => {
                    let parent = value.extract::<Option<Bound<'_, Context>>>()?;
                    options.parent = parent.map(|parent| Arc::clone(parent.get().stream()));
                }
                "inherit" => options.is_alone = !value.extract::<bool>()?,
                other => return Err(PyTypeError::new_err(format!("a call has no option {other:?}"))),
            }
        }
        Ok(options)
    }
}

/// A time in seconds, as Rust has it.
pub(super) fn duration(seconds: Option<f64>) -> PyResult<Option<Duration>> {
    seconds
        .map(|seconds| Duration::try_from_secs_f64(seconds).map_err(|error| PyValueError::new_err(error.to_string())))
        .transpose()
}
