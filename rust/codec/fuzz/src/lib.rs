//! Parts that all targets use: the layout of an input, the interpreter, and the contents of a message.

pub mod counted;
mod tree;

use std::sync::{Arc, Once};

use pybridge_pool::Pool;
use pybridge_codec::{CodecSpec, DuplicateKeys, EncodeError, Encoder, Format, Framing, Limits, decode};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

pub use tree::Tree;

/// One input: the first byte says how to read the rest.
pub struct Input<'i> {
    options: u8,
    pub message: &'i [u8],
}

impl<'i> Input<'i> {
    pub fn new(data: &'i [u8]) -> Option<Self> {
        let (&options, message) = data.split_first()?;
        Some(Self { options, message })
    }

    pub fn format(&self) -> Format {
        if self.options & 1 == 0 { Format::Msgpack } else { Format::Json }
    }

    pub fn spec(&self) -> Arc<CodecSpec> {
        Arc::new(CodecSpec::from(self.format()).any_keys(self.options & 2 != 0))
    }

    pub fn limits(&self) -> Arc<Limits> {
        let mut limits = Limits::default();
        if self.options & 4 != 0 {
            limits.duplicate_keys = DuplicateKeys::Error;
        }
        match self.options >> 3 & 3 {
            0 => {}
            1 => limits.max_depth = 3,
            2 => limits.max_nodes = 20,
            _ => limits.max_decoded_bytes = 2048,
        }
        Arc::new(limits)
    }

    /// How far a decoder goes in one stretch.
    pub fn stretch(&self) -> usize {
        [1, 2, 3, 7, 20, 100, 1000, 100_000][usize::from(self.options >> 5)]
    }
}

/// Starts the interpreter with the system's allocator, so that AddressSanitizer sees its objects.
pub fn attach<R>(run: impl for<'py> FnOnce(Python<'py>) -> R) -> R {
    static START: Once = Once::new();
    START.call_once(|| {
        // SAFETY: before the interpreter starts there is no other thread that could read the environment.
        unsafe { std::env::set_var("PYTHONMALLOC", "malloc") };
        Python::initialize();
    });
    Python::attach(run)
}

/// The interpreter's allocations for life are no leaks.
#[unsafe(no_mangle)]
extern "C" fn __asan_default_options() -> *const std::ffi::c_char {
    c"detect_leaks=0".as_ptr()
}

/// The value in one go, or what was wrong.
pub fn decoded<'py>(py: Python<'py>, input: &Input<'_>) -> Result<Bound<'py, PyAny>, String> {
    match decode(py, &input.spec(), &input.limits(), input.message) {
        Ok(value) => Ok(value.into_bound(py)),
        Err(error) => Err(error.to_string()),
    }
}

/// The frame of `value`.
pub fn encoded(spec: Arc<CodecSpec>, value: &Bound<'_, PyAny>) -> Result<Vec<u8>, EncodeError> {
    thread_local! {
        static POOL: Pool = Pool::new(Default::default()).expect("defaults are valid");
    }
    let mut out = POOL.with(Pool::writer);
    Encoder::new(spec, Framing::None, Arc::default()).encode(value, &mut out)?;
    let mut frame = Vec::new();
    out.seal(|mut batch| frame = batch.frame(0).expect("one frame").to_vec());
    Ok(frame)
}

/// What Python shows of a value: types, signs of zeros and all digits.
pub fn shown(value: &Bound<'_, PyAny>) -> String {
    value.repr().expect("of built-in types").to_string()
}

/// Containers inside one another, and values.
pub fn depth_and_nodes(value: &Bound<'_, PyAny>) -> (usize, usize) {
    let inside: Vec<Bound<'_, PyAny>> = if let Ok(list) = value.cast::<PyList>() {
        list.iter().collect()
    } else if let Ok(dict) = value.cast::<PyDict>() {
        dict.values().iter().collect()
    } else {
        return (0, 1);
    };
    inside.iter().map(depth_and_nodes).fold((1, 1), |(depth, nodes), (d, n)| (depth.max(d + 1), nodes + n))
}
