//! Tests of the codec with a real interpreter.
#![allow(clippy::disallowed_methods, reason = "a test's thread is its own")]

mod decoding;
mod encoding;
mod texts;
mod typed;
mod typed_json;

use std::ffi::CString;
use std::sync::Arc;

use pybridge_pool::{Pool, PoolConfig, Writer};
use pyo3::prelude::*;

use super::{CodecSpec, Encoder, Format, Framing, Limits};
use crate::EncodeError;

fn writer() -> Writer {
    Pool::new(PoolConfig::default()).unwrap().writer()
}

fn spec(format: Format) -> Arc<CodecSpec> {
    Arc::new(CodecSpec { format, ..CodecSpec::default() })
}

fn eval<'py>(py: Python<'py>, code: &str) -> Bound<'py, PyAny> {
    py.eval(&CString::new(code).unwrap(), None, None).unwrap()
}

/// Runs `code` and gives its `x`.
fn exec<'py>(py: Python<'py>, code: &str) -> Bound<'py, PyAny> {
    let names = pyo3::types::PyDict::new(py);
    py.run(&CString::new(code).unwrap(), Some(&names), None).unwrap();
    names.get_item("x").unwrap().unwrap()
}

fn frames(writer: &mut Writer) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    writer.seal(|mut batch| all.extend((0..batch.frames()).map(|i| batch.frame(i).unwrap().to_vec())));
    all
}

fn encode(spec: Arc<CodecSpec>, item: &Bound<'_, PyAny>) -> Result<Vec<u8>, EncodeError> {
    let mut out = writer();
    let done = Encoder::new(spec, Framing::None, Arc::default()).encode(item, &mut out);
    let made = frames(&mut out);
    assert_eq!(made.len(), usize::from(done.is_ok()));
    done.map(|_| made.into_iter().next().unwrap())
}

fn limits(change: impl FnOnce(&mut Limits)) -> Arc<Limits> {
    let mut limits = Limits::default();
    change(&mut limits);
    Arc::new(limits)
}
