//! Tests of text and of dicts' templates, against the standard library and the interpreter.

use super::*;
use crate::DecodeError;
use crate::{DuplicateKeys, decode};

fn msgpack_text(text: &[u8]) -> Vec<u8> {
    let mut message = vec![0xda];
    message.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
    message.extend_from_slice(text);
    message
}

/// Decodes a text as a message of its own, whatever bytes it has.
fn check(py: Python<'_>, text: &[u8]) {
    let made = decode(py, &spec(Format::Msgpack), &Limits::default(), &msgpack_text(text));
    match (made, std::str::from_utf8(text)) {
        (Ok(made), Ok(expected)) => assert_eq!(made.extract::<String>(py).unwrap(), expected),
        (Err(DecodeError::Invalid { offset, .. }), Err(error)) => assert_eq!(offset, 3 + error.valid_up_to()),
        (made, expected) => panic!("{made:?} for {expected:?}"),
    }
}

#[test]
fn wide_text_is_utf8_exactly_where_the_standard_library_says() {
    Python::attach(|py| {
        let others: [&[u8]; 12] = [
            b"a",
            "é".as_bytes(),
            "\u{7ff}".as_bytes(),
            "\u{800}".as_bytes(),
            "\u{ffff}".as_bytes(),
            "😀".as_bytes(),
            b"\xed\xa0\x80",
            b"\xed\xbf\xbf",
            b"\xe0\x9f\xbf",
            b"\xf0\x8f\xbf\xbf",
            b"\xff",
            b"\x80",
        ];
        for len in [1, 7, 8, 9, 15, 16, 17, 25, 40] {
            let plain: Vec<&[u8]> = (0..len).map(|i| ["日", "本", "\u{d7ff}", "\u{e000}"][i % 4].as_bytes()).collect();
            check(py, &plain.concat());
            for at in 0..len {
                for other in others {
                    let mut changed = plain.clone();
                    changed[at] = other;
                    check(py, &changed.concat());
                    check(py, &[b"\xf0\x9f\x98\x80", &changed.concat()[..]].concat());
                }
                let whole = plain.concat();
                for byte in [0x00, 0x41, 0x80, 0xc0, 0xe0, 0xff] {
                    let mut broken = whole.clone();
                    broken[3 * at + at % 3] = byte;
                    check(py, &broken);
                }
                check(py, &whole[..3 * at + at % 3]);
            }
        }
    });
}

#[test]
fn dicts_of_one_shape_share_neither_values_nor_changes() {
    Python::attach(|py| {
        let decoded = |text: &str| decode(py, &spec(Format::Json), &Limits::default(), text.as_bytes()).unwrap();
        let message = |value: usize| {
            let pairs: Vec<String> = (0..9).map(|key| format!("\"shape_{key}\":{}", value + key)).collect();
            format!("{{{}}}", pairs.join(","))
        };
        for value in 0..20 {
            let made = decoded(&message(value)).into_bound(py);
            let made = made.cast::<pyo3::types::PyDict>().unwrap();
            let plain = eval(py, &message(value));
            assert_eq!(made.repr().unwrap().to_string(), plain.repr().unwrap().to_string());
            made.set_item("shape_0", value).unwrap();
            made.del_item("shape_8").unwrap();
            made.set_item("another", value).unwrap();
        }
    });
}

#[test]
fn the_last_of_equal_keys_wins_however_often_the_shape_comes() {
    Python::attach(|py| {
        let text = br#"{"k1":1,"k2":2,"k3":3,"k4":4,"k5":5,"k1":6,"k6":7}"#;
        for _ in 0..5 {
            let made = decode(py, &spec(Format::Json), &Limits::default(), text).unwrap();
            assert_eq!(
                made.bind(py).repr().unwrap().to_string(),
                "{'k1': 6, 'k2': 2, 'k3': 3, 'k4': 4, 'k5': 5, 'k6': 7}"
            );
            let strict = limits(|limits| limits.duplicate_keys = DuplicateKeys::Error);
            assert!(decode(py, &spec(Format::Json), &strict, text).is_err());
        }
    });
}
