//! The loop that measures the codec alone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pybridge_pool::{Pool, PoolConfig, Writer};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::naive::{decode_request, encode_response};
use pybridge::codec::{CodecSpec, Encoder, Format, Framing, Limits, decode};
use pybridge::extension::{IntoException, PyCodec};

/// Frames and bytes of a batch, as a stream has them by default.
const BATCH_FRAMES: usize = 64;
const BATCH_BYTES: usize = 1 << 20;

/// Frames written before the clock starts, after a batch, so that the pool has its buffers.
const WARM_UP: usize = 4;

/// Does one half of a codec `repetitions` times with `payload`; returns the nanoseconds of all.
///
/// `encode` writes an object into pooled buffers, which go home batch by batch; `decode` makes objects of bytes and drops
/// them. `reference-encode` and `reference-decode` go through a `serde_json::Value`, as the usual bridge does.
///
/// # Errors
/// `ValueError` for an unknown operation; what the codec raises.
#[python_entry]
#[pyfunction]
pub(super) fn bench_codec(
    operation: &str,
    codec: &Bound<'_, PyCodec>,
    payload: &Bound<'_, PyAny>,
    repetitions: usize,
) -> PyResult<u128> {
    let spec = &codec.get().spec;
    let elapsed = match operation {
        "encode" => encode_loop(spec, payload, repetitions)?,
        "decode" => decode_loop(spec, payload, repetitions)?,
        "reference-encode" => reference_encode::<Value>(spec.format, payload, repetitions)?,
        "reference-decode" => reference_decode::<Value>(spec.format, payload, repetitions)?,
        other => return Err(PyValueError::new_err(format!("no operation is called {other:?}"))),
    };
    Ok(elapsed.as_nanos())
}

fn encode_loop(spec: &Arc<CodecSpec>, item: &Bound<'_, PyAny>, repetitions: usize) -> PyResult<Duration> {
    let pool = Pool::new(PoolConfig::default()).map_err(|wrong| PyValueError::new_err(wrong.to_string()))?;
    let mut out: Writer = pool.writer();
    let mut encoder = Encoder::new(Arc::clone(spec), Framing::None, Arc::new(Limits::default()));
    let mut encode = |repetitions| {
        let (mut frames, mut bytes) = (0, 0);
        for _ in 0..repetitions {
            bytes += encoder.encode(item, &mut out).map_err(|error| error.into_exception(item.py()))?;
            frames += 1;
            if frames == BATCH_FRAMES || bytes >= BATCH_BYTES {
                out.seal(drop);
                (frames, bytes) = (0, 0);
            }
        }
        out.seal(drop);
        PyResult::Ok(())
    };
    encode(BATCH_FRAMES.min(repetitions) + WARM_UP)?;
    let start = Instant::now();
    encode(repetitions)?;
    Ok(start.elapsed())
}

fn decode_loop(spec: &CodecSpec, body: &Bound<'_, PyAny>, repetitions: usize) -> PyResult<Duration> {
    let (py, body, limits) = (body.py(), body.extract::<&[u8]>()?, Limits::default());
    let start = Instant::now();
    for _ in 0..repetitions {
        drop(decode(py, spec, &limits, body).map_err(|error| error.into_exception(py))?);
    }
    Ok(start.elapsed())
}

fn reference_encode<T: Serialize + DeserializeOwned>(
    format: Format,
    item: &Bound<'_, PyAny>,
    repetitions: usize,
) -> PyResult<Duration> {
    let start = Instant::now();
    for _ in 0..repetitions {
        let value: T = pythonize::depythonize(item)?;
        drop(encode_response(format, &value)?);
    }
    Ok(start.elapsed())
}

fn reference_decode<T: Serialize + DeserializeOwned>(
    format: Format,
    body: &Bound<'_, PyAny>,
    repetitions: usize,
) -> PyResult<Duration> {
    let (py, body) = (body.py(), body.extract::<&[u8]>()?);
    let start = Instant::now();
    for _ in 0..repetitions {
        let value: T = decode_request(format, body)?;
        drop(pythonize::pythonize(py, &value)?);
    }
    Ok(start.elapsed())
}
