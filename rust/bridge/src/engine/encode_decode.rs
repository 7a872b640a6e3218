//! `pybridge.encode` and `pybridge.decode`: one value, outside streams.

use std::cell::Cell;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use pybridge_pool::{Batch, Writer};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyString};

use super::py_codec::{PyCodec, body_of};
use super::py_pool::shared_pool;
use crate::codec::{self, CodecSpec, Format, Framing, Limits, Writing};
use crate::consumer::{PyFrame, Terms, Usual, may_keep};
use crate::error::py_errors::{Class, IntoException};
use crate::state::flow_settings;

/// Frames of up to so many bytes are copied out of the calling thread's scratch, and need no memory of the pool.
const SCRATCH_BYTES: usize = 16 << 10;

thread_local! {
    /// A writer at the start of its scratch; none while it is used.
    static WRITER: Cell<Option<Box<Writer>>> = const { Cell::new(None) };
}

/// An argument as it was given, for the function to look at; `None`: it was left out.
pub(crate) struct Given<'py>(Option<Bound<'py, PyAny>>);

impl<'py> FromPyObject<'_, 'py> for Given<'py> {
    type Error = Infallible;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> Result<Self, Infallible> {
        Ok(Self(Some(object.to_owned())))
    }
}

/// Encodes one value into a frame.
///
/// `codec`: a codec or the name of one. `limits`: what the frame is held to, here and where it is decoded.
///
/// Raises `EncodeError`: the value, or something in it, is not of the value table; `.path` says where.
/// Raises `LimitExceeded`: it is over a limit.
#[python_entry]
#[pyfunction]
#[pyo3(
    signature = (value, codec=Given(None), limits=None),
    text_signature = "(value, codec='msgpack', limits=None)"
)]
pub(crate) fn encode<'py>(
    value: &Bound<'py, PyAny>,
    codec: Given<'py>,
    limits: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyFrame>> {
    let py = value.py();
    match Codec::of(codec.0.as_ref())? {
        Codec::Plain(format) => {
            let usual = usual(py, format)?;
            let terms = match limits {
                None => Terms::Usual(usual),
                Some(limits) => Terms::Own(Arc::clone(&usual.spec), limits_of(limits)?),
            };
            write(value, terms, None)
        }
        Codec::Own(codec) => {
            let codec = codec.get();
            let limits = match limits {
                None => Arc::clone(&usual(py, codec.spec.format)?.limits),
                Some(limits) => limits_of(limits)?,
            };
            write(value, Terms::Own(Arc::clone(&codec.spec), limits), Some(codec))
        }
    }
}

/// Decodes one whole message; bytes after it are an error.
///
/// `data`: a frame, bytes or anything with a buffer; for "json" and "raw" also text. `codec`: the format; by default that
/// of a frame, and "msgpack" for anything else. `limits`: what the message is held to; by default the limits that a frame
/// was encoded with, and `Limits()`.
///
/// Raises `DecodeError`: not a message of the format; `.offset` says where.
/// Raises `LimitExceeded`: it is over a limit.
#[python_entry]
#[pyfunction]
#[pyo3(signature = (data, codec=None, limits=None))]
pub(crate) fn decode(
    data: &Bound<'_, PyAny>,
    codec: Option<&Bound<'_, PyAny>>,
    limits: Option<&Bound<'_, PyAny>>,
) -> PyResult<Py<PyAny>> {
    let py = data.py();
    let frame = data.cast_exact::<PyFrame>().ok().map(Bound::get);
    let own = limits.map(limits_of).transpose()?;
    let read = |spec: &CodecSpec, usual: &Limits| read(data, frame, spec, own.as_deref().unwrap_or(usual));
    if codec.is_none()
        && let Some(frame) = frame
    {
        return read(frame.terms().spec(), frame.terms().limits());
    }
    match Codec::of(codec)? {
        Codec::Plain(format) => usual(py, format).and_then(|usual| read(&usual.spec, &usual.limits)),
        Codec::Own(codec) => {
            let spec = &codec.get().spec;
            read(spec, &usual(py, spec.format)?.limits)
        }
    }
}

/// What a `codec` argument stands for.
enum Codec<'py> {
    /// A format without options.
    Plain(Format),
    Own(Bound<'py, PyCodec>),
}

impl<'py> Codec<'py> {
    fn of(codec: Option<&Bound<'py, PyAny>>) -> PyResult<Self> {
        let Some(codec) = codec else { return Ok(Self::Plain(Format::Msgpack)) };
        let name = codec.cast_exact::<PyString>().ok().and_then(|name| name.to_str().ok());
        name.and_then(Format::from_name).map_or_else(|| Self::other(codec), |format| Ok(Self::Plain(format)))
    }

    /// A codec, or a codec object of the Python package.
    #[cold]
    #[inline(never)]
    fn other(codec: &Bound<'py, PyAny>) -> PyResult<Self> {
        static NATIVE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        if let Ok(native) = codec.cast_exact::<PyCodec>() {
            return Ok(Self::Own(native.clone()));
        }
        let native = NATIVE.import(codec.py(), "pybridge.engine", "native_codec")?.call1((codec,))?;
        Ok(Self::Own(native.cast_into()?))
    }
}

fn write<'py>(value: &Bound<'py, PyAny>, terms: Terms, hooks: Option<&PyCodec>) -> PyResult<Bound<'py, PyFrame>> {
    let py = value.py();
    let mut writer = match WRITER.take() {
        Some(writer) => writer,
        None => Box::new(shared_pool(py)?.writer_with_scratch(SCRATCH_BYTES)),
    };
    let writing = Writing {
        spec: terms.spec(),
        framing: Framing::None,
        limits: terms.limits(),
        default: hooks.and_then(|hooks| hooks.default.as_ref()),
        model_dump: hooks.and_then(|hooks| hooks.model_dump.as_ref()),
    };
    writing.write(value, &mut writer, 0, &mut false).map_err(|error| error.into_exception(py))?;
    if writer.is_in_scratch() {
        let bytes: &[u8] = writer.frame_mut();
        let frame = if bytes.len() <= PyFrame::SHORT {
            PyFrame::short(py, bytes, terms)
        } else {
            Bound::new(py, PyFrame::shared(Bytes::copy_from_slice(bytes), terms))
        };
        writer.clear_scratch();
        WRITER.set(Some(writer));
        return frame;
    }
    writer.commit();
    Bound::new(py, PyFrame::shared(sealed(*writer), terms))
}

/// The one frame that was written.
#[inline(never)]
fn sealed(mut writer: Writer) -> Bytes {
    let mut batch = Batch::default();
    writer.seal(|sealed| batch = sealed);
    if may_keep(batch.bytes().len(), batch.pins()) {
        batch.frame(0).unwrap_or_default()
    } else {
        Bytes::copy_from_slice(batch.bytes())
    }
}

fn read(data: &Bound<'_, PyAny>, frame: Option<&PyFrame>, spec: &CodecSpec, limits: &Limits) -> PyResult<Py<PyAny>> {
    let py = data.py();
    let done = if let Some(frame) = frame {
        codec::decode(py, spec, limits, frame.bytes())
    } else if let Ok(bytes) = data.cast_exact::<PyBytes>() {
        codec::decode(py, spec, limits, bytes.as_bytes())
    } else {
        codec::decode(py, spec, limits, &body_of(data, spec.format)?)
    };
    done.map_err(|error| error.into_exception(py))
}

/// A format without options, with the limits that the environment says when they are first asked for.
fn usual(py: Python<'_>, format: Format) -> PyResult<&'static Usual> {
    static USUAL: PyOnceLock<[Usual; 3]> = PyOnceLock::new();
    let all = USUAL.get_or_try_init(py, || {
        let limits = py.import("pybridge.config")?.getattr("Limits")?.call0()?;
        let limits = flow_settings::limits(&limits).map(Arc::new)?;
        let usual = |format| Usual { spec: Arc::new(CodecSpec::from(format)), limits: Arc::clone(&limits) };
        PyResult::Ok([usual(Format::Msgpack), usual(Format::Json), usual(Format::Raw)])
    })?;
    Ok(&all[format as usize])
}

fn limits_of(limits: &Bound<'_, PyAny>) -> PyResult<Arc<Limits>> {
    flow_settings::limits(limits).map(Arc::new).map_err(|_| {
        let kind = limits.get_type().name().map_or_else(|_| "?".into(), |name| name.to_string());
        Class::Config.error(limits.py(), ("limits", format!("must be a Limits, not {kind}")))
    })
}
