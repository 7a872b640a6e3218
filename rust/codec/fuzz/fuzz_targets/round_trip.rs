//! Round trips: decoded values encode, and from then on stay the same, in their own format and through the other one.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use pybridge_codec::{CodecSpec, Format, Limits, decode};
use pybridge_fuzz::{Input, attach, decoded, encoded, shown};
use pyo3::prelude::*;

fn again<'py>(py: Python<'py>, spec: &CodecSpec, frame: &[u8]) -> Bound<'py, PyAny> {
    decode(py, spec, &Limits::default(), frame).expect("our own frame").into_bound(py)
}

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::new(data) else { return };
    attach(|py| {
        let Ok(first) = decoded(py, &input) else { return };
        let spec = input.spec();
        let frame = encoded(Arc::clone(&spec), &first).expect("a decoded value is of types that encode");
        let second = again(py, &spec, &frame);
        assert_eq!(shown(&first), shown(&second));
        assert_eq!(frame, encoded(spec, &second).expect("as before"));

        let format = if input.format() == Format::Json { Format::Msgpack } else { Format::Json };
        let other = Arc::new(CodecSpec::from(format));
        match encoded(Arc::clone(&other), &first) {
            Ok(frame) => assert_eq!(shown(&first), shown(&again(py, &other, &frame))),
            Err(_) => assert_eq!(format, Format::Json, "MessagePack holds all that JSON does"),
        }
    });
});
