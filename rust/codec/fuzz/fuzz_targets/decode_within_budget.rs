//! Decoding never panics, keeps to its budgets of depth, values and bytes, and does not depend on the stretches it is cut
//! into.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use pybridge_codec::Decoder;
use pybridge_fuzz::counted::{self, Counted, PYTHON, RUST};
use pybridge_fuzz::{Input, attach, decoded, depth_and_nodes, shown};
use pyo3::prelude::*;

#[global_allocator]
static ALLOCATOR: Counted = Counted;

/// Memory that does not grow with the message: the spare stack of values, the text of an error.
const FIXED: usize = 64 << 10;
/// The stack of values while it grows has a new and an old place for each input byte.
const RUST_RATIO: usize = 24;

fn in_stretches<'py>(py: Python<'py>, input: &Input<'_>) -> Result<Bound<'py, PyAny>, String> {
    let mut decoder = Decoder::new(input.spec(), input.limits(), Bytes::copy_from_slice(input.message));
    loop {
        match decoder.run(py, input.stretch()) {
            Ok(Some(value)) => return Ok(value.into_bound(py)),
            Ok(None) => assert!(decoder.decoded_bytes() <= input.limits().max_decoded_bytes),
            Err(error) => {
                assert!(decoder.run(py, 1).is_err(), "a decoder goes on after its end");
                return Err(error.to_string());
            }
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::new(data) else { return };
    attach(|py| {
        counted::count_python(py);
        let limits = input.limits();
        let ((whole, python), rust) = RUST.peak(|| PYTHON.peak(|| decoded(py, &input)));
        assert!(python <= 2 * limits.max_decoded_bytes.min(64 << 20) + FIXED, "{python} bytes of objects");
        assert!(rust <= RUST_RATIO * input.message.len() + FIXED, "{rust} bytes beside them");
        if let Ok(value) = &whole {
            let (depth, nodes) = depth_and_nodes(value);
            assert!(depth <= limits.max_depth && nodes <= limits.max_nodes, "{depth} deep, {nodes} values");
        }
        let parts = in_stretches(py, &input);
        // Keys that are known by now cost nothing, so that the limit of bytes may be passed later, or not.
        if ![&whole, &parts].iter().any(|done| done.as_ref().is_err_and(|error| error.contains("max_decoded_bytes"))) {
            assert_eq!(whole.map(|value| shown(&value)), parts.map(|value| shown(&value)));
        }
    });
});
