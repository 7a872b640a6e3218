//! The codec object of the Python package.

use std::sync::Arc;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict, PyMemoryView, PyString};

use crate::codec::{self, CodecSpec, DecodeError, Format, Framing, Limits};
use crate::error::py_errors::IntoException;

/// A format with its options, made from a validated `pybridge` codec.
#[python_entry]
#[pyclass(frozen, name = "Codec", module = "pybridge._pybridge")]
pub struct PyCodec {
    #[doc(hidden)]
    pub spec: Arc<CodecSpec>,
    /// What text framings are written in: JSON in the place of `MessagePack`, which is binary.
    text: Arc<CodecSpec>,
    /// Hook for objects that nothing else converts: `default(object)`.
    pub(super) default: Option<Py<PyAny>>,
    /// Arguments for the serializers of pydantic models; a dict that nobody else changes.
    pub(super) model_dump: Option<Py<PyDict>>,
}

impl PyCodec {
    /// The format and options of items in this framing.
    pub(crate) fn spec_for(&self, framing: Framing) -> Arc<CodecSpec> {
        Arc::clone(if framing.is_text() { &self.text } else { &self.spec })
    }

    /// The options of items in this format: its own, where it is its own.
    pub(crate) fn spec_in(&self, format: Format) -> Arc<CodecSpec> {
        match [&self.spec, &self.text].into_iter().find(|spec| spec.format == format) {
            Some(spec) => Arc::clone(spec),
            None => Arc::new(CodecSpec::from(format).any_keys(self.spec.any_keys)),
        }
    }

    /// An encoder for one stream in `spec`, with its own hooks; the owner shows it to the collector.
    pub(crate) fn encoder(
        &self,
        py: Python<'_>,
        spec: Arc<CodecSpec>,
        framing: Framing,
        limits: Arc<Limits>,
    ) -> codec::Encoder {
        let default = self.default.as_ref().map(|hook| hook.clone_ref(py));
        let model_dump = self.model_dump.as_ref().map(|options| options.clone_ref(py));
        codec::Encoder::new(spec, framing, limits).with_default(default).with_model_dump(model_dump)
    }
}

#[python_entry]
#[pymethods]
impl PyCodec {
    #[new]
    #[expect(clippy::fn_params_excessive_bools, reason = "keywords of the Python constructor")]
    #[pyo3(signature = (
        format, default=None, *, any_keys=false, ascii=false, bytes_base64=false, nonfinite_null=false, model_dump=None
    ))]
    fn new(
        format: &str,
        default: Option<Py<PyAny>>,
        any_keys: bool,
        ascii: bool,
        bytes_base64: bool,
        nonfinite_null: bool,
        model_dump: Option<Py<PyDict>>,
    ) -> PyResult<Self> {
        let format = Format::from_name(format).ok_or_else(|| PyValueError::new_err(format!("no format {format:?}")))?;
        let spec = CodecSpec::from(format).any_keys(any_keys).ascii(ascii);
        let spec = Arc::new(spec.bytes_base64(bytes_base64).nonfinite_null(nonfinite_null));
        let text =
            if format == Format::Msgpack { Arc::new(CodecSpec::json().any_keys(any_keys)) } else { Arc::clone(&spec) };
        Ok(Self { spec, text, default, model_dump })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.default)?;
        visit.call(&self.model_dump)
    }
}

/// The error for text that is no Unicode, with the place of the first surrogate.
#[cold]
fn holds_surrogate(text: &Bound<'_, PyString>) -> PyResult<PyErr> {
    let bytes: PyBackedBytes = text.call_method1("encode", ("utf-8", "surrogatepass"))?.extract()?;
    let offset = std::str::from_utf8(&bytes).map_or_else(|error| error.valid_up_to(), str::len);
    let bits = bytes[offset..].iter().skip(1).take(2).fold(0xd, |bits, byte| bits << 6 | u32::from(byte & 0x3f));
    let reason = format!("str holds the lone surrogate U+{bits:04X}, which UTF-8 cannot hold");
    Ok(DecodeError::Invalid { offset, reason }.into_exception(text.py()))
}

/// The bytes of a bytes-like object that is no frame, or of text where the format is not binary.
pub(super) fn body_of(data: &Bound<'_, PyAny>, format: Format) -> PyResult<PyBackedBytes> {
    let py = data.py();
    if let Ok(bytes) = data.extract::<PyBackedBytes>() {
        return Ok(bytes);
    }
    if format != Format::Msgpack
        && let Ok(text) = data.cast::<PyString>()
    {
        let text = text.to_str().or_else(|_| Err(holds_surrogate(text)?))?;
        return Ok(PyBackedBytes::from(PyBytes::new(py, text.as_bytes())));
    }
    let Ok(view) = py.get_type::<PyMemoryView>().call1((data,)) else {
        let kind = data.get_type().fully_qualified_name()?;
        let wanted = if format == Format::Msgpack { "bytes" } else { "bytes or text" };
        return Err(PyTypeError::new_err(format!("a message is {wanted}, not {kind}")));
    };
    Ok(py.get_type::<PyBytes>().call1((view,))?.extract::<PyBackedBytes>()?)
}
