//! Tests of encoding Python objects.

use std::sync::atomic::Ordering;

use super::*;
use crate::py::layout;

const JSON: Format = Format::Json;
const MSGPACK: Format = Format::Msgpack;

fn json(code: &str) -> String {
    Python::attach(|py| String::from_utf8(encode(spec(JSON), &eval(py, code)).unwrap()).unwrap())
}

fn msgpack(code: &str) -> Vec<u8> {
    Python::attach(|py| encode(spec(MSGPACK), &eval(py, code)).unwrap())
}

/// Path and reason.
fn refused(format: Format, code: &str) -> (String, String) {
    Python::attach(|py| match encode(spec(format), &eval(py, code)).unwrap_err() {
        EncodeError::Value { path, reason } => (path, reason),
        other => panic!("{other:?}"),
    })
}

#[test]
fn builtin_values_are_written_as_json() {
    assert_eq!(
        json("[None, True, False, 0, -1, 2**63, -2**63, 2**64-1]"),
        "[null,true,false,0,-1,9223372036854775808,-9223372036854775808,18446744073709551615]"
    );
    assert_eq!(
        json("{'a': 'b\\n\"\\x00', 'é': '日本😀', '': (1.5, 0.1, -0.0)}"),
        "{\"a\":\"b\\n\\\"\\u0000\",\"é\":\"日本😀\",\"\":[1.5,0.1,-0.0]}"
    );
}

#[test]
fn builtin_values_are_written_as_msgpack() {
    assert_eq!(
        msgpack("[None, True, -32, -33, 127, 128, 65536]"),
        b"\x97\xc0\xc3\xe0\xd0\xdf\x7f\xcc\x80\xce\x00\x01\x00\x00"
    );
    assert_eq!(
        msgpack("{'a': b'xy', 'b': memoryview(b'abcd')[::2], 'c': bytearray(b'z')}"),
        b"\x83\xa1a\xc4\x02xy\xa1b\xc4\x02ac\xa1c\xc4\x01z"
    );
    assert_eq!(msgpack("1.5"), b"\xcb\x3f\xf8\0\0\0\0\0\0");
}

/// Guarantee V-15.
#[test]
fn a_refused_value_is_named_with_its_path() {
    assert_eq!(refused(JSON, "{'a': [1, {'b c': 2**64}]}").0, "$.a[1][\"b c\"]");
    let (path, reason) = refused(MSGPACK, "[[], object()]");
    assert_eq!(
        (path.as_str(), reason.as_str()),
        ("$[1]", "cannot encode object; give the codec default= to convert it")
    );
    assert!(refused(JSON, "[float('nan')]").1.contains("nonfinite"));
    assert!(refused(JSON, "b''").1.contains("base64"));
    assert!(refused(MSGPACK, "{1: 2}").1.contains("key of type int"));
    assert!(refused(MSGPACK, "'\\ud800'").1.contains("U+D800"));
}

/// Guarantee V-19.
#[test]
fn a_refused_item_leaves_no_byte_behind() {
    Python::attach(|py| {
        let mut out = writer();
        let mut encoder = Encoder::new(spec(MSGPACK), Framing::Length, Arc::default());
        for code in ["1", "['x' * 100000, object()]", "2", "[{'a': 2**64}]", "3"] {
            let _ = encoder.encode(&eval(py, code), &mut out);
        }
        assert_eq!(frames(&mut out), [b"\0\0\0\x01\x01", b"\0\0\0\x01\x02", b"\0\0\0\x01\x03"]);
    });
}

/// Guarantee V-16.
#[test]
fn a_container_changed_by_the_hook_is_refused() {
    for change in ["box.pop()", "box.clear()", "box.append(1)", "box[:] = []"] {
        let code =
            format!("box = [object() for _ in range(300)]\ndef hook(ob):\n    {change}\n    return 1\nx = (box, hook)");
        changed(&code);
    }
    for change in ["box.clear()", "box.popitem()", "box.update(z=1)"] {
        let code = format!(
            "box = {{str(i): object() for i in range(300)}}\ndef hook(ob):\n    {change}\n    return 1\nx = (box, hook)"
        );
        changed(&code);
    }
}

fn changed(code: &str) {
    Python::attach(|py| {
        for format in [JSON, MSGPACK] {
            let (item, hook): (Bound<'_, PyAny>, Py<PyAny>) = exec(py, code).extract().unwrap();
            let mut encoder = Encoder::new(spec(format), Framing::None, Arc::default()).with_default(Some(hook));
            let EncodeError::Value { reason, .. } = encoder.encode(&item, &mut writer()).unwrap_err() else {
                panic!("{code}")
            };
            assert!(reason.contains("container changed"), "{code}: {reason}");
        }
    });
}

/// Guarantee L-01.
#[test]
fn depth_is_limited_on_a_small_stack() {
    let run = || {
        Python::attach(|py| {
            for (depth, good) in [(127, true), (128, true), (129, false), (100_000, false)] {
                let nested = exec(py, &format!("x = []\nfor _ in range({}): x = [x]", depth - 1));
                for format in [JSON, MSGPACK] {
                    match encode(spec(format), &nested) {
                        Ok(_) => assert!(good, "{depth}"),
                        Err(EncodeError::Limit { limit, .. }) => {
                            assert!(!good && limit == "max_depth", "{depth}");
                        }
                        Err(other) => panic!("{other:?}"),
                    }
                }
            }
            let cycle = exec(py, "x = {}\nx['x'] = x");
            assert!(matches!(encode(spec(JSON), &cycle), Err(EncodeError::Limit { .. })));
        });
    };
    std::thread::Builder::new().stack_size(256 << 10).spawn(run).unwrap().join().unwrap();
}

/// Guarantee L-04.
#[test]
fn nodes_and_frame_bytes_are_limited() {
    Python::attach(|py| {
        let encode = |code: &str, limits| {
            let mut out = writer();
            Encoder::new(spec(JSON), Framing::None, limits).encode(&eval(py, code), &mut out).map(|_| frames(&mut out))
        };
        assert!(encode("[0] * 9", limits(|l| l.max_nodes = 10)).is_ok());
        assert!(matches!(
            encode("[0] * 10", limits(|l| l.max_nodes = 10)),
            Err(EncodeError::Limit { limit: "max_nodes", .. })
        ));
        assert!(encode("'x' * 8", limits(|l| l.max_frame_bytes = 10)).is_ok());
        assert!(matches!(
            encode("['x' * 8]", limits(|l| l.max_frame_bytes = 10)),
            Err(EncodeError::Limit { limit: "max_frame_bytes", .. })
        ));
    });
}

/// Guarantee S-20.
#[test]
fn framing_is_written_around_the_item() {
    Python::attach(|py| {
        let frame = |format, framing, code: &str| {
            let mut out = writer();
            Encoder::new(spec(format), framing, Arc::default()).encode(&eval(py, code), &mut out).ok()?;
            frames(&mut out).pop()
        };
        assert_eq!(frame(JSON, Framing::Sse, "[1]").unwrap(), b"data: [1]\n\n");
        assert_eq!(frame(JSON, Framing::Ndjson, "'\\n'").unwrap(), b"\"\\n\"\n");
        assert_eq!(
            frame(Format::Raw, Framing::Sse, "'a\\nb\\r\\nc\\r'").unwrap(),
            b"data: a\ndata: b\ndata: c\ndata: \n\n"
        );
        assert_eq!(frame(Format::Raw, Framing::Ndjson, "b'a\\nb'"), None);
        assert_eq!(frame(MSGPACK, Framing::Sse, "1"), None);
        assert_eq!(frame(Format::Raw, Framing::Length, "'é'").unwrap(), b"\0\0\0\x02\xc3\xa9");
        assert_eq!(frame(Format::Raw, Framing::None, "memoryview(b'abcd')[::2]").unwrap(), b"ac");
        assert_eq!(frame(Format::Raw, Framing::None, "1"), None);
    });
}

#[test]
fn ints_are_right_whether_their_digits_can_be_read_or_not() {
    Python::attach(|py| {
        let ints = eval(py, "[s * (2**bits + more) for s in (1, -1) for bits in range(63) for more in (-1, 0, 1)]");
        for format in [JSON, MSGPACK] {
            let by_digits = encode(spec(format), &ints).unwrap();
            let read = layout::READ_DIGITS.swap(false, Ordering::Relaxed);
            assert!(read, "the digits of this interpreter can be read");
            assert_eq!(encode(spec(format), &ints).unwrap(), by_digits);
            layout::READ_DIGITS.store(read, Ordering::Relaxed);
            let value = crate::decode(py, &spec(format), &Limits::default(), &by_digits).unwrap();
            assert!(value.bind(py).eq(&ints).unwrap());
        }
    });
}

/// Debug builds look at the stack for each container; here there is room for about sixty that are not looked at.
#[test]
fn a_container_takes_no_more_of_the_stack_than_it_is_thought_to() {
    let encode_nested = || {
        Python::attach(|py| {
            for (wrap, times) in
                [("[it]", 60), ("(it,)", 60), ("{'k': it}", 60), ("{'k': [it]}", 30), ("frozenset([it])", 60)]
            {
                let nested = format!("__import__('functools').reduce(lambda it, _: {wrap}, range({times}), 1)");
                for format in [JSON, MSGPACK] {
                    encode(spec(format), &eval(py, &nested)).unwrap();
                }
            }
        });
    };
    std::thread::Builder::new().stack_size(160 << 10).spawn(encode_nested).unwrap().join().unwrap();
}
