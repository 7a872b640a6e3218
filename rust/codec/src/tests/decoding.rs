//! Tests of decoding Python objects, in one go and in stretches.

use bytes::Bytes;
use pyo3::types::PyDict;

use super::*;
use crate::DecodeError;
use crate::{Decoder, decode, from_frame, scan};

pub(super) const MANY: &str = "[None, True, False, {'a': [1, -1, 127, 128, 255, 256, 65535, 65536, 2**32, 2**63, 2**64-1, -32, -33, -128, -129, -2**31, -2**63], \
    'é': 'ü日😀', '': [], 'b': {}, 'f': [0.0, -0.0, 1e-320, 1.5, 1e308], 's': 'x' * 300, 't': 'é' * 40000, 'q': 'a\"\\\\/\\b\\f\\n\\r\\t\\x01'}]";

/// Each of `codes` in each format.
fn in_each_format<C: Clone>(codes: &[C]) -> impl Iterator<Item = (Format, C)> {
    [Format::Json, Format::Msgpack].into_iter().flat_map(|format| codes.iter().map(move |code| (format, code.clone())))
}

fn repr(value: &Bound<'_, PyAny>) -> String {
    value.repr().unwrap().to_string()
}

#[test]
fn what_was_encoded_decodes_to_the_same_in_one_go_and_in_stretches() {
    Python::attach(|py| {
        let item = eval(py, MANY);
        for format in [Format::Json, Format::Msgpack] {
            let frame = encode(spec(format), &item).unwrap();
            scan(format, &Limits::default(), &frame).unwrap();
            let whole = decode(py, &spec(format), &Limits::default(), &frame).unwrap();
            assert_eq!(repr(whole.bind(py)), repr(&item));
            assert_eq!(in_stretches(format, &frame, &item), repr(&item));
        }
    });
}

/// The `repr` of what `frame`, the message of `item`, decodes to a few bytes at a time.
fn in_stretches(format: Format, frame: &[u8], item: &Bound<'_, PyAny>) -> String {
    let mut decoder = Decoder::new(spec(format), Arc::default(), Bytes::copy_from_slice(frame));
    let mut turns = 0;
    let value = loop {
        turns += 1;
        if let Some(value) = decoder.run(item.py(), 3).unwrap() {
            break value;
        }
    };
    assert!(turns > 20);
    repr(value.bind(item.py()))
}

#[test]
fn a_map_too_large_for_one_part_decodes_to_the_same_in_one_go_and_in_stretches() {
    Python::attach(|py| {
        let map = |pairs| format!("{{str(n): n for n in range({pairs})}}");
        let mut codes = vec![format!("[{{**{}, 'in': [1, {}, 2], 'end': 3}}, 4]", map(1025), map(1537))];
        codes.extend([511, 512, 513, 1024, 1025, 1537].map(|pairs| format!("[0, 'a', {}, 1]", map(pairs))));
        for (format, code) in in_each_format(&codes) {
            let item = eval(py, &code);
            let frame = encode(spec(format), &item).unwrap();
            let whole = decode(py, &spec(format), &Limits::default(), &frame).unwrap();
            assert_eq!(repr(whole.bind(py)), repr(&item), "{code}");
            assert_eq!(in_stretches(format, &frame, &item), repr(&item), "{code}");
        }
    });
}

fn refused(format: Format, input: &[u8]) -> DecodeError {
    Python::attach(|py| {
        let error = decode(py, &spec(format), &Limits::default(), input).unwrap_err();
        let scanned = scan(format, &Limits::default(), input).unwrap_err();
        assert_eq!(error.to_string(), scanned.to_string());
        error
    })
}

fn offset(format: Format, input: &[u8]) -> usize {
    match refused(format, input) {
        DecodeError::Invalid { offset, .. } => offset,
        other => panic!("{other:?}"),
    }
}

/// Guarantee V-21.
#[test]
fn broken_input_is_refused_with_its_offset() {
    for (input, at) in [
        (&b""[..], 0),
        (b"\xc1", 0),
        (b"\x01\x02", 1),
        (b"\x92\x01", 1),
        (b"\xa2\xff\xfe", 1),
        (b"\xd4\x01\x02", 0),
        (b"\x81\x01\x02", 1),
        (b"\xdd\xff\xff\xff\xff\x01", 5),
        (b"\xdb\xff\xff\xff\xff", 5),
        (b"\x91\xc7\x00\x01", 1),
    ] {
        assert_eq!(offset(Format::Msgpack, input), at, "{input:x?}");
    }
    for (input, at) in [
        (&b""[..], 0),
        (b"[1,]", 3),
        (b"[1", 2),
        (b"01", 0),
        (b"1 2", 2),
        (b"NaN", 0),
        (b"\"\xff\"", 1),
        (b"\"\\ud800\"", 1),
        (b"{\"a\"}", 4),
        (b"{a:1}", 1),
        (b"[1}", 2),
        (b"\"\n\"", 1),
        (b"1e400", 0),
        (b"18446744073709551616", 0),
        (b"-9223372036854775809", 0),
        (b"-", 1),
        (b"1.", 2),
        (b"\"\\x\"", 1),
        (b"\"\\u12g4\"", 3),
        (b"tru", 0),
        (b"{\"a\":1,}", 7),
    ] {
        assert_eq!(offset(Format::Json, input), at, "{:?}", String::from_utf8_lossy(input));
    }
}

/// Guarantee L-03.
#[test]
fn depth_and_nodes_are_limited_before_objects_are_made() {
    for depth in [127, 128] {
        let input = [vec![0x91; depth - 1], vec![0x90]].concat();
        Python::attach(|py| decode(py, &spec(Format::Msgpack), &Limits::default(), &input).map(drop)).unwrap();
    }
    for input in [vec![0x91; 129], vec![0x91; 1_000_000]] {
        assert!(matches!(
            refused(Format::Msgpack, &input),
            DecodeError::Limit { limit: "max_depth", .. } | DecodeError::Invalid { .. }
        ));
    }
    assert!(matches!(
        refused(Format::Json, &vec![b'['; 1_000_000]),
        DecodeError::Limit { limit: "max_depth", offset: 128, .. }
    ));
    let bomb = [&b"\xdd\x00\x4c\x4b\x40"[..], &vec![0x80; 5_000_000]].concat();
    assert!(matches!(refused(Format::Msgpack, &bomb), DecodeError::Limit { limit: "max_nodes", offset: 5, .. }));
}

#[test]
fn a_key_that_comes_twice_is_refused_on_demand() {
    Python::attach(|py| {
        let strict = limits(|l| l.duplicate_keys = crate::DuplicateKeys::Error);
        for (format, input) in
            [(Format::Json, &b"[{\"a\":1,\"\\u0061\":2}]"[..]), (Format::Msgpack, b"\x91\x82\xa1a\x01\xd9\x01a\x02")]
        {
            let last = decode(py, &spec(format), &Limits::default(), input).unwrap();
            assert_eq!(repr(last.bind(py)), "[{'a': 2}]");
            assert!(decode(py, &spec(format), &strict, input).is_err());
            assert!(scan(format, &strict, input).is_err());
        }
    });
}

#[test]
fn numbers_of_any_length_are_those_of_the_standard_library() {
    let digits = "18446744073709551616"; // 2^64, which an u64 that wraps takes for zero
    let texts = [".5", ".0", "e0", "0.25", "000000000000000000000e-20"].map(|rest| format!("{digits}{rest}"));
    Python::attach(|py| {
        for text in texts.iter().flat_map(|text| [text.clone(), format!("-{text}")]) {
            let value = decode(py, &spec(Format::Json), &Limits::default(), text.as_bytes()).unwrap();
            let expected: f64 = text.parse().unwrap();
            assert_eq!(value.extract::<f64>(py).unwrap().to_bits(), expected.to_bits(), "{text}");
            let typed: f64 = from_frame(Format::Json, &Limits::default(), text.as_bytes()).unwrap();
            assert_eq!(typed.to_bits(), expected.to_bits(), "{text}");
        }
    });
}

#[test]
fn half_a_surrogate_pair_is_refused_whatever_follows() {
    for (text, at) in
        [("\\ud800", 1), ("\\ud800x", 1), ("\\ud800\\u0041", 1), ("\\ud800\\ud800", 1), ("\\udc00\\ud800", 1)]
    {
        assert_eq!(offset(Format::Json, format!("\"{text}\"").as_bytes()), at, "{text}");
    }
}

#[test]
fn a_decoder_that_has_ended_makes_nothing_more() {
    Python::attach(|py| {
        let inputs =
            [(Format::Msgpack, &b"\x82\xa1a\x01\xa1\xff\x02\x03"[..]), (Format::Json, b"{\"a\":1,\"\xff\":2}")];
        for (format, input) in inputs {
            let mut decoder = Decoder::new(spec(format), Arc::default(), Bytes::from_static(input));
            assert!(decoder.run(py, usize::MAX).is_err());
            assert!(decoder.run(py, usize::MAX).is_err());
            let mut decoder = Decoder::new(spec(format), Arc::default(), Bytes::from_static(b"7"));
            assert!(decoder.run(py, usize::MAX).unwrap().is_some());
            assert!(decoder.run(py, usize::MAX).is_err());
        }
    });
}

/// Bytes of an object and of all that it holds, by the interpreter's own count.
fn sizes(value: &Bound<'_, PyAny>) -> usize {
    let own: usize = value.py().import("sys").unwrap().call_method1("getsizeof", (value,)).unwrap().extract().unwrap();
    let held: usize = match value.get_type().name().unwrap().to_str().unwrap() {
        "list" => value.try_iter().unwrap().map(|item| sizes(&item.unwrap())).sum(),
        "dict" => {
            let pairs = value.cast::<PyDict>().unwrap().iter();
            pairs.map(|(key, value)| sizes(&key) + sizes(&value)).sum()
        }
        _ => 0,
    };
    own + held
}

#[test]
fn what_objects_are_estimated_at_is_near_what_the_interpreter_counts() {
    let values = [
        "[]",
        "[[[]]]",
        "[1.5] * 1000",
        "'x' * 10_000",
        "['é' * 5000, '日' * 5000, '😀' * 5000]",
        "[{}] * 1000",
        "{'kéy' * 300 + str(n): None for n in range(300)}",
        "{'key' * 300 + str(n): 1 for n in range(300)}",
        "[{'a': n, 'b': 1.5} for n in range(1000)]",
    ];
    Python::attach(|py| {
        for (format, code) in in_each_format(&values).chain([(Format::Msgpack, "b'x' * 10_000")]) {
            let frame = encode(spec(format), &eval(py, code)).unwrap();
            let mut decoder = Decoder::new(spec(format), Arc::default(), Bytes::from(frame));
            let value = decoder.run(py, usize::MAX).unwrap().unwrap();
            let (counted, estimated) = (sizes(value.bind(py)), decoder.decoded_bytes());
            let near = counted * 95 / 100..=counted * 13 / 10;
            assert!(near.contains(&estimated), "{code}: {estimated} for {counted}");
        }
    });
}

/// Guarantee L-06.
#[test]
fn objects_of_as_many_bytes_as_the_limit_are_made_and_of_one_more_are_not() {
    Python::attach(|py| {
        let values = ["1", "[]", "'text'", "{'a key': 1}", "{'kéy': None}", MANY];
        for (format, code) in in_each_format(&values).chain([(Format::Msgpack, "b'bytes'")]) {
            let frame = encode(spec(format), &eval(py, code)).unwrap();
            // Keys that are known from a message before cost less.
            let value = decode(py, &spec(format), &Limits::default(), &frame).unwrap();
            let mut decoder = Decoder::new(spec(format), Arc::default(), Bytes::copy_from_slice(&frame));
            decoder.run(py, usize::MAX).unwrap().unwrap();
            let made = decoder.decoded_bytes();
            let exact = decode(py, &spec(format), &limits(|l| l.max_decoded_bytes = made), &frame).unwrap();
            assert_eq!(repr(exact.bind(py)), repr(value.bind(py)));
            let error = decode(py, &spec(format), &limits(|l| l.max_decoded_bytes = made - 1), &frame).unwrap_err();
            assert!(matches!(error, DecodeError::Limit { limit: "max_decoded_bytes", .. }), "{code}: {error}");
        }
    });
}

/// Guarantee L-04.
#[test]
fn a_frame_over_the_limit_is_refused_before_it_is_read() {
    Python::attach(|py| {
        let read = |max: usize, input: &'static [u8]| {
            let limits = limits(|l| l.max_frame_bytes = max);
            let whole = decode(py, &spec(Format::Json), &limits, input).map(drop);
            let mut decoder = Decoder::new(spec(Format::Json), limits.clone(), Bytes::from_static(input));
            [whole, decoder.run(py, 1).map(drop), scan(Format::Json, &limits, input)]
        };
        assert!(read(4, b"1234").iter().all(Result::is_ok));
        for refused in read(4, b"not JSON") {
            assert!(
                matches!(&refused, Err(DecodeError::Limit { limit: "max_frame_bytes", offset: 4, .. })),
                "{refused:?}"
            );
        }
    });
}

#[test]
fn a_decoding_that_fails_or_is_left_gives_back_what_it_made() {
    let codes = ["[{'a name': 1}, {'a name': 2}, 3]", "{'k' * 40 + str(n): {'a name': n} for n in range(600)}"];
    Python::attach(|py| {
        for (format, code) in in_each_format(&codes) {
            let frame = |code| Bytes::from(encode(spec(format), &eval(py, code)).unwrap());
            // Keys of a few letters are kept, so that all maps have the same.
            let map = decode(py, &spec(format), &Limits::default(), &frame("{'a name': 0}")).unwrap();
            let key = map.bind(py).try_iter().unwrap().next().unwrap().unwrap();
            let sys = py.import("sys").unwrap();
            let references = || sys.call_method1("getrefcount", (&key,)).unwrap().extract::<usize>().unwrap();
            let before = references();
            let whole = frame(code);
            let value = decode(py, &spec(format), &Limits::default(), &whole).unwrap();
            assert!(references() > before, "values share the key");
            drop(value);
            decode(py, &spec(format), &Limits::default(), &whole[..whole.len() - 1]).unwrap_err();
            assert_eq!(references(), before, "{format:?}: {code}, its end cut off");
            let mut decoder = Decoder::new(spec(format), Arc::default(), whole);
            while references() == before {
                assert!(decoder.run(py, 1).unwrap().is_none());
            }
            drop(decoder);
            assert_eq!(references(), before, "{format:?}: {code}, left");
        }
    });
}
