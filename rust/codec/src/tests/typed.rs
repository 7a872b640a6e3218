//! Tests of Rust values from frames and back.

use std::thread;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::*;
use crate::DecodeError;
use crate::{from_frame, to_bytes};

/// A value of itself.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "has no value")]
struct Itself(Box<Itself>);

#[derive(Debug, Deserialize)]
struct Perhaps(Option<Box<Perhaps>>);

#[derive(Debug, Deserialize, Serialize)]
struct Link {
    next: Option<Box<Link>>,
}

#[derive(Debug, Deserialize)]
enum Chain {
    End,
    Next(Box<Chain>),
    Pair(Box<Chain>, ()),
    Named { next: Box<Chain> },
}

#[derive(Debug, Deserialize)]
struct Tree(Vec<Tree>);

/// What a message of any kind says.
const MINIMAL: [(Format, &[u8]); 12] = [
    (Format::Msgpack, b"\x01"),
    (Format::Msgpack, b"\xa1x"),
    (Format::Msgpack, b"\xc2"),
    (Format::Msgpack, b"\x90"),
    (Format::Msgpack, b"\x91\x01"),
    (Format::Msgpack, b"\x80"),
    (Format::Json, b"1"),
    (Format::Json, b"\"x\""),
    (Format::Json, b"false"),
    (Format::Json, b"[]"),
    (Format::Json, b"[1]"),
    (Format::Json, b"{}"),
];

/// Runs on a stack of so many bytes.
fn on_stack<R: Send + 'static>(size: usize, run: impl FnOnce() -> R + Send + 'static) -> R {
    thread::Builder::new().stack_size(size).spawn(run).unwrap().join().unwrap()
}

/// Runs on a stack of 256 KiB.
fn on_small_stack(run: impl FnOnce() + Send + 'static) {
    on_stack(256 << 10, run);
}

fn nested(unit: &[u8], end: &[u8], close: &[u8], depth: usize) -> Vec<u8> {
    [unit.repeat(depth), end.to_vec(), close.repeat(depth)].concat()
}

fn limit<T: DeserializeOwned>(format: Format, frame: &[u8]) -> Option<&'static str> {
    match from_frame::<T>(format, &Limits::default(), frame) {
        Err(DecodeError::Limit { limit, .. }) => Some(limit),
        _ => None,
    }
}

/// No type makes the stack overflow, whatever the message.
/// Guarantee L-01.
#[test]
fn types_that_contain_themselves_are_refused_where_the_message_does_not_end_them() {
    on_small_stack(|| {
        for (format, frame) in MINIMAL {
            let limits = Limits::default();
            assert!(matches!(from_frame::<Itself>(format, &limits, frame), Err(DecodeError::Mismatch { .. })));
            assert!(matches!(from_frame::<Perhaps>(format, &limits, frame), Err(DecodeError::Mismatch { .. })));
        }
        for (format, frame) in [(Format::Msgpack, &b"\xc0"[..]), (Format::Json, b"null")] {
            assert!(from_frame::<Perhaps>(format, &Limits::default(), frame).unwrap().0.is_none());
            assert!(from_frame::<Itself>(format, &Limits::default(), frame).is_err());
        }
    });
}

/// What a format crate does not count is counted before it is asked.
/// Guarantee L-01.
#[test]
fn messages_nest_typed_values_as_deep_as_the_limit_says_and_no_deeper() {
    on_small_stack(|| {
        for depth in [1, 127] {
            for (format, frame) in [
                (Format::Msgpack, nested(b"\x81\xa4next", b"\x81\xa4next\xc0", b"", depth)),
                (Format::Json, nested(b"{\"next\":", b"{\"next\":null}", b"}", depth)),
            ] {
                let mut link: Link = from_frame(format, &Limits::default(), &frame).unwrap();
                let mut found = 0;
                while let Some(next) = link.next.take() {
                    (link, found) = (*next, found + 1);
                }
                assert_eq!(found, depth);
            }
        }
        for depth in [129, 500_000] {
            for (format, unit, end, close) in [
                (Format::Msgpack, &b"\x81\xa4next"[..], &b"\xc0"[..], &b""[..]),
                (Format::Json, b"{\"next\":", b"null", b"}"),
            ] {
                assert_eq!(limit::<Link>(format, &nested(unit, end, close, depth)), Some("max_depth"));
            }
            for (format, unit, end, close) in [
                (Format::Msgpack, &b"\x81\xa4Next"[..], &b"\xa3End"[..], &b""[..]),
                (Format::Json, b"{\"Next\":", b"\"End\"", b"}"),
                (Format::Json, b"{\"Pair\":[", b"\"End\"", b",null]}"),
                (Format::Json, b"{\"Named\":{\"next\":", b"\"End\"", b"}}"),
            ] {
                assert_eq!(limit::<Chain>(format, &nested(unit, end, close, depth)), Some("max_depth"));
            }
            assert_eq!(limit::<Tree>(Format::Msgpack, &nested(b"\x91", b"\x90", b"", depth)), Some("max_depth"));
            assert_eq!(limit::<Tree>(Format::Json, &nested(b"[", b"", b"]", depth)), Some("max_depth"));
        }
        for (format, frame) in [
            (Format::Msgpack, nested(b"\x81\xa4Next", b"\xa3End", b"", 128)),
            (Format::Json, nested(b"{\"Next\":", b"\"End\"", b"}", 128)),
        ] {
            let mut chain: Chain = from_frame(format, &Limits::default(), &frame).unwrap();
            let mut found = 0;
            while let Chain::Next(next) | Chain::Pair(next, ()) | Chain::Named { next } = chain {
                (chain, found) = (*next, found + 1);
            }
            assert!(matches!(chain, Chain::End));
            assert_eq!(found, 128);
        }
    });
}

#[test]
fn typed_values_may_be_as_deep_as_the_limits_say() {
    for depth in [1, 128, 129, Limits::MAX_DEPTH] {
        let limits = limits(|l| l.max_depth = depth);
        let arrays = [vec![0x91; depth - 1], vec![0x90]].concat();
        let text = ["[".repeat(depth), "]".repeat(depth)].concat();
        for (format, frame) in [(Format::Msgpack, &arrays[..]), (Format::Json, text.as_bytes())] {
            let mut list: Tree = from_frame(format, &limits, frame).unwrap();
            let mut found = 1;
            while let Some(inner) = list.0.pop() {
                (list, found) = (inner, found + 1);
            }
            assert_eq!(found, depth);
        }
    }
    let endless = limits(|l| l.max_depth = usize::MAX);
    let deeper = vec![0x91; Limits::MAX_DEPTH + 1];
    for frame in [&deeper[..], &[0x91; 10_000]] {
        let refused = from_frame::<Tree>(Format::Msgpack, &endless, frame).unwrap_err();
        assert!(matches!(refused, DecodeError::Limit { limit: "max_depth", .. }), "{refused:?}");
    }
}

/// How deep `Chain` may be read from messages, with or without keys that come twice, and written.
fn deepest(size: usize, act: impl Fn(usize) -> Result<(), &'static str> + Send + Copy + 'static) -> usize {
    on_stack(size, move || {
        let outcomes: Vec<_> = (1..Limits::MAX_DEPTH).step_by(5).map(act).collect();
        let fit = outcomes.iter().take_while(|outcome| outcome.is_ok()).count();
        assert!(outcomes[fit..].iter().all(|outcome| *outcome == Err("max_depth")), "{outcomes:?}");
        fit * 5
    })
}

#[test]
fn typed_values_end_before_the_stack_does() {
    for size in [64 << 10, 128 << 10, 256 << 10, 2 << 20] {
        for (format, unit, end, close) in [
            (Format::Msgpack, &b"\x81\xa4Next"[..], &b"\xa3End"[..], &b""[..]),
            (Format::Json, b"{\"Next\":", b"\"End\"", b"}"),
            (Format::Json, b"{\"Named\":{\"next\":0,\"next\":", b"\"End\"", b"}}"),
        ] {
            let read = deepest(size, move |depth| {
                let limits = Limits { max_depth: Limits::MAX_DEPTH, ..Limits::default() };
                let units = if unit.len() > 20 { depth / 2 } else { depth };
                match from_frame::<Chain>(format, &limits, &nested(unit, end, close, units)) {
                    Ok(_) => Ok(()),
                    Err(DecodeError::Limit { limit, .. }) => Err(limit),
                    Err(_) => Err("other"),
                }
            });
            assert!(read > 20 && (size < 2 << 20 || read > 380), "{format:?} {size}: {read}");
        }
        for format in [Format::Msgpack, Format::Json] {
            let written = deepest(size, move |depth| {
                let link = (0..depth).fold(Link { next: None }, |link, _| Link { next: Some(Box::new(link)) });
                match to_bytes(format, &link) {
                    Ok(_) => Ok(()),
                    Err(EncodeError::Limit { limit, .. }) => Err(limit),
                    Err(_) => Err("other"),
                }
            });
            assert!(written > 20 && (size < 2 << 20 || written > 380), "{format:?} {size}: {written}");
        }
    }
}

#[derive(Debug, PartialEq, Deserialize)]
struct Outer {
    a: i64,
    inner: Vec<Inner>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Inner {
    b: Option<f64>,
}

/// The rule of Python values holds for Rust's own types.
/// Guarantee V-22.
#[test]
fn the_last_of_equal_keys_wins_in_structs_too_unless_the_limits_refuse_them() {
    let strict = limits(|l| l.duplicate_keys = crate::DuplicateKeys::Error);
    let packed = b"\x84\xa1a\x01\xa5inner\xc0\xd9\x01a\xcd\x01\x00\xa5inner\x92\x82\xa1b\xc0\xa1b\xcb\x3f\xf8\0\0\0\0\0\0\x81\xa1b\xc0";
    let text = br#"{"a":1,"inner":null,"\u0061":256,"inner":[{"b":null,"b":1.5},{"b":null}]}"#;
    let expected = Outer { a: 256, inner: vec![Inner { b: Some(1.5) }, Inner { b: None }] };
    for (format, frame) in [(Format::Msgpack, &packed[..]), (Format::Json, text)] {
        assert_eq!(from_frame::<Outer>(format, &Limits::default(), frame).unwrap(), expected);
        assert!(matches!(from_frame::<Outer>(format, &strict, frame), Err(DecodeError::Invalid { .. })));
        assert!(matches!(from_frame::<Vec<i64>>(format, &Limits::default(), frame), Err(DecodeError::Mismatch { .. })));
    }
}

/// Rewriting a message keeps everything but the earlier values.
#[test]
fn a_message_without_repeated_keys_decodes_to_the_same() {
    Python::attach(|py| {
        let many = decoding::MANY;
        let texts = ["7", "[]", "{}", "'x' * 70000", "[b'', b'x' * 300, b'x' * 70000]", "[-1.5] * 70000", many];
        for text in texts {
            let item = eval(py, text);
            let frame = encode(spec(Format::Msgpack), &item).unwrap();
            let unique = crate::msgpack::dedup_keys(&frame).unwrap();
            let value = crate::decode(py, &spec(Format::Msgpack), &Limits::default(), &unique).unwrap();
            assert!(value.bind(py).eq(&item).unwrap(), "{text}");
        }
    });
}
