"""Error messages of the codec, word for word, both formats and both directions."""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from collections.abc import Callable
from typing import Any

import pytest

import pybridge
from pybridge import DecodeError, EncodeError, JsonCodec, LimitExceeded, Limits, MsgpackCodec

STRICT = Limits(duplicate_keys="error")
ANY_KEYS = MsgpackCodec(keys="any")
RANGE = "-2**63 .. 2**64-1"


class Thing:
    """An object that no codec knows."""


@dataclasses.dataclass
class Node:
    next: Any = None


def name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def raising(error: BaseException) -> Callable[[object], Any]:
    def default(_: object) -> Any:
        raise error

    return default


def encode_error(value: Any, codec: Any) -> EncodeError:
    with pytest.raises(EncodeError) as caught:
        pybridge.encode(value, codec)
    return caught.value


THING = name(Thing)
DEEP = ".next" * 32


@pytest.mark.parametrize("make", [MsgpackCodec, JsonCodec])
@pytest.mark.parametrize(
    ("default", "said"),
    [
        (raising(TypeError()), f"default= raised for an object of type {THING}: TypeError (at $.t)"),
        (
            raising(ValueError("no\nway")),
            f"default= raised for an object of type {THING}: ValueError: no\nway (at $.t)",
        ),
        (raising(KeyError("x")), f"default= raised for an object of type {THING}: KeyError: 'x' (at $.t)"),
        (lambda value: value, f"default= gave back what it was given, of type {THING} (at $.t)"),
        (
            lambda value: Thing(),
            f"more than 32 nested answers of default= or values of enums, the last of type {THING} (at $.t)",
        ),
        (
            Node,
            f"more than 32 nested answers of default= or values of enums, the last of type {THING} (at $.t{DEEP})",
        ),
        (None, f"cannot encode {THING}; give the codec default= to convert it (at $.t)"),
    ],
)
def test_a_default_that_does_not_help_is_named_with_what_it_was_asked_for(
    make: Callable[..., Any], default: Any, said: str
) -> None:
    error = encode_error({"t": Thing()}, make(default=default))
    assert str(error) == said
    assert error.path == said.rpartition(" (at ")[2][:-1]


class SilentError(Exception):
    def __str__(self) -> str:
        return ""


def test_an_exception_without_text_is_said_by_its_class_wherever_it_is_raised() -> None:
    class Field:
        def __get__(self, instance: object, owner: type) -> Any:
            raise SilentError if instance is not None else AttributeError

    @dataclasses.dataclass
    class Record:
        a: int

    Record.a = Field()  # type: ignore[assignment]
    value = Record.__new__(Record)
    for codec in ("msgpack", "json"):
        error = encode_error([value], codec)
        assert str(error) == "SilentError (at $[0].a)"
        assert isinstance(error.__cause__, SilentError)


class Loud:
    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        if not self.text:
            raise RuntimeError("no repr")
        return self.text


MSGPACK_STR = 'keys are str; MsgpackCodec(keys="any") takes int and bytes as well'
MSGPACK_ANY = "keys are str, int and bytes"
JSON_STR = (
    'keys are str; JsonCodec(keys="any") writes int, float, bool, None, UUID, datetime, date, time and enums as text'
)
JSON_ANY = "keys are str, or int, float, bool, None, UUID, datetime, date, time and enums as text"

KEYS: list[tuple[Any, str]] = [
    (1, "int: 1"),
    (b"k", "bytes: b'k'"),
    (None, "NoneType: None"),
    (True, "bool: True"),
    (1.5, "float: 1.5"),
    ((1, "a"), "tuple: (1, 'a')"),
    (uuid.UUID(int=1), "uuid.UUID: UUID('00000000-0000-0000-0000-000000000001')"),
    (dt.date(2024, 1, 2), "datetime.date: datetime.date(2024, 1, 2)"),
    (Loud("x" * 100), f"{name(Loud)}: {'x' * 64}…"),
    (Loud(""), name(Loud)),
    (10**5000, "int"),
]


@pytest.mark.guarantee("V-15")
@pytest.mark.parametrize(("key", "shown"), KEYS, ids=[shown[:20] for _, shown in KEYS])
def test_a_key_that_is_refused_is_shown_with_what_helps(key: Any, shown: str) -> None:
    cases: list[tuple[Any, str]] = [("msgpack", MSGPACK_STR), ("json", JSON_STR)]
    if not isinstance(key, int | bytes) or isinstance(key, bool):
        cases.append((ANY_KEYS, MSGPACK_ANY))
    if isinstance(key, tuple | bytes | Loud):
        cases.append((JsonCodec(keys="any"), JSON_ANY))
    for codec, taken in cases:
        for value in ({key: 1}, {"first": 1, key: object()}):
            assert str(encode_error({"a": [value]}, codec)) == f"key of type {shown}; {taken} (at $.a[0])"


@pytest.mark.guarantee("V-15")
def test_what_json_cannot_hold_says_what_helps() -> None:
    for value, said in (
        (b"a", 'bytes are not JSON; JsonCodec(bytes="base64") writes base64 text (at $[0])'),
        (float("nan"), 'NaN and infinity are not JSON; JsonCodec(nonfinite="null") writes null (at $[0])'),
    ):
        assert str(encode_error([value], "json")) == said


@pytest.mark.parametrize("codec", ["msgpack", "json"])
@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (2**64, "int 18446744073709551616"),
        (-(2**63) - 1, "int -9223372036854775809"),
        (10**100, f"int 1{'0' * 63}…"),
        (10**5000, "int"),
    ],
    ids=["positive", "negative", "long", "endless"],
)
def test_a_large_integer_is_shown_with_what_helps(codec: Any, value: int, shown: str) -> None:
    class Loudest(int):
        def __repr__(self) -> str:
            raise RuntimeError("asked")

    said = f"{shown} is outside {RANGE}; str() makes text of it"
    for number in (value, Loudest(value)):
        assert str(encode_error(number, codec)) == f"{said} (at $)"
        assert str(encode_error({"a": [1, number]}, codec)) == f"{said} (at $.a[1])"
        assert str(encode_error((1.5, number), codec)) == f"{said} (at $[1])"


@pytest.mark.parametrize("codec", ["msgpack", "json", "raw"])
@pytest.mark.parametrize(
    ("text", "point", "index"),
    [
        ("\ud800", "D800", 0),
        ("ab\udfff", "DFFF", 2),
        ("é日\udc00\ud800", "DC00", 2),
        ("😀" * 999 + "\udbff", "DBFF", 999),
    ],
)
def test_a_surrogate_is_named_with_its_place_on_the_way_out(codec: Any, text: str, point: str, index: int) -> None:
    said = f"str holds the lone surrogate U+{point} at index {index}, which UTF-8 cannot hold"
    assert str(encode_error(text, codec)) == f"{said} (at $)"
    if codec != "raw":
        assert str(encode_error({"a": [text]}, codec)) == f"{said} (at $.a[0])"


def own(value: Any, put: Callable[[Any, Any], object]) -> Any:
    put(value, value)
    return value


def inner() -> dict[str, Any]:
    value: dict[str, Any] = {"x": {"y": [0]}}
    value["x"]["y"].append(value["x"])
    return value


def mutual() -> list[Any]:
    first: list[Any] = []
    second = {"back to the first": (first,)}
    first.append(second)
    return first


@pytest.mark.parametrize("codec", ["msgpack", "json", MsgpackCodec(default=str), JsonCodec(default=str)])
@pytest.mark.parametrize(
    ("value", "opened", "met"),
    [
        (own([], list.append), "$", "$[0]"),
        (own([1.5, 2], list.append), "$", "$[2]"),
        (own({}, lambda box, value: box.update(self=value)), "$", "$.self"),
        (own(Node(), lambda box, value: setattr(box, "next", value)), "$", "$.next"),
        (own([uuid.UUID(int=0)], list.append), "$", "$[1]"),
        (inner(), "$.x", "$.x.y[1]"),
        (mutual(), "$", '$[0]["back to the first"][0]'),
    ],
    ids=["list", "numbers", "dict", "dataclass", "with code", "inner", "mutual"],
)
def test_a_container_that_contains_itself_is_named_with_both_places(
    codec: Any, value: Any, opened: str, met: str
) -> None:
    with pytest.raises(LimitExceeded) as caught:
        pybridge.encode(value, codec)
    assert str(caught.value) == f"{opened} contains itself at {met} (max_depth)"
    assert (caught.value.limit, caught.value.path) == ("max_depth", met)


def test_a_value_that_stands_in_many_places_contains_nothing_twice() -> None:
    shared: list[Any] = []
    deep: Any = shared
    for _ in range(200):
        deep = [shared, deep]
    with pytest.raises(
        LimitExceeded, match=r"^more than 128 containers inside one another at \$(\[1\])+\[0\] \(max_depth\)$"
    ):
        pybridge.encode(deep)
    assert pybridge.encode([shared, {"a": shared}]).decode() == [[], {"a": []}]


TAKES_MORE = 'MsgpackCodec(keys="any") takes integers and bytes as well'
NEITHER = "a key that is neither string, integer nor bytes but"

DECODE: list[tuple[Any, bytes | str, str]] = [
    # Empty messages.
    ("json", b"", "an empty message (at byte 0)"),
    ("json", "", "an empty message (at byte 0)"),
    ("json", b" \t\r\n", "an empty message (at byte 4)"),
    ("json", b" [", "expected a value, not the end of the message (at byte 2)"),
    ("json", b'{"a": 1', "expected a comma or the end of the container, not the end of the message (at byte 7)"),
    ("json", b'{"a', "a string without its end (at byte 3)"),
    ("msgpack", b"", "an empty message (at byte 0)"),
    ("msgpack", b"\x91", "truncated: more values announced than bytes are left (at byte 1)"),
    # Byte order marks.
    (
        "json",
        b"\xef\xbb\xbf{}",
        'a byte order mark, which JSON does not have; bytes.decode("utf-8-sig") drops it (at byte 0)',
    ),
    ("json", "\ufeff{}", 'a byte order mark, which JSON does not have; bytes.decode("utf-8-sig") drops it (at byte 0)'),
    ("json", '{"a":1}'.encode("utf-16"), "text in UTF-16; JSON is UTF-8 (at byte 0)"),
    ("json", b"\xfe\xff\x00{", "text in UTF-16; JSON is UTF-8 (at byte 0)"),
    ("json", b"[\xef\xbb\xbf]", "expected a value (at byte 1)"),
    # Extension types.
    ("msgpack", b"\xd4\x05x", "extension type 5, which is not taken (at byte 0)"),
    ("msgpack", b"\x91\xd8\x80" + b"x" * 16, "extension type -128, which is not taken (at byte 1)"),
    ("msgpack", b"\xd6\xff\0\0\0\0", "extension type -1 (timestamp), which is not taken (at byte 0)"),
    ("msgpack", b"\xc7\x0c\xff" + b"x" * 12, "extension type -1 (timestamp), which is not taken (at byte 0)"),
    ("msgpack", b"\x92\x01\xc8\0\x01\x2ax", "extension type 42, which is not taken (at byte 2)"),
    ("msgpack", b"\xc9\0\0\0\x01\x7fx", "extension type 127, which is not taken (at byte 0)"),
    ("msgpack", b"\xd4", "truncated (at byte 1)"),
    ("msgpack", b"\xc8\0", "truncated (at byte 2)"),
    ("msgpack", b"\xc1", "the reserved marker 0xc1 (at byte 0)"),
    # Keys.
    (
        "msgpack",
        b"\x81\x01\x01",
        f"a key that is not a string but an integer; {TAKES_MORE} (at byte 1)",
    ),
    (
        "msgpack",
        b"\x81\xc4\x01k\x01",
        f"a key that is not a string but bytes; {TAKES_MORE} (at byte 1)",
    ),
    (ANY_KEYS, b"\x81\x90\x01", f"{NEITHER} an array (at byte 1)"),
    (ANY_KEYS, b"\x81\x80\x01", f"{NEITHER} a map (at byte 1)"),
    (ANY_KEYS, b"\x81\xc0\x01", f"{NEITHER} nil (at byte 1)"),
    (ANY_KEYS, b"\x81\xc3\x01", f"{NEITHER} a boolean (at byte 1)"),
    (ANY_KEYS, b"\x81\xca\0\0\0\0\x01", f"{NEITHER} a float (at byte 1)"),
    (
        ANY_KEYS,
        b"\x81\xd4\x05x\x01",
        f"{NEITHER} an extension type (at byte 1)",
    ),
    ("json", b"{1:2}", "expected a key (at byte 1)"),
    # Surrogates.
    ("json", b'["a\\uD800"]', "the lone surrogate \\ud800, which UTF-8 cannot hold (at byte 3)"),
    ("json", b'{"\\udfff":1}', "the lone surrogate \\udfff, which UTF-8 cannot hold (at byte 2)"),
    ("json", '"é日\ud83d"', "str holds the lone surrogate U+D83D, which UTF-8 cannot hold (at byte 6)"),
    ("raw", "\udc00", "str holds the lone surrogate U+DC00, which UTF-8 cannot hold (at byte 0)"),
    ("json", b'"a\xed\xa0\x80"', "text that is not UTF-8 (at byte 2)"),
    ("msgpack", b"\xa4a\xed\xa0\x80", "text that is not UTF-8 (at byte 2)"),
    # Large integers.
    ("json", b"[18446744073709551616]", f"integer 18446744073709551616 is outside {RANGE} (at byte 1)"),
    ("json", b"[-9223372036854775809,1]", f"integer -9223372036854775809 is outside {RANGE} (at byte 1)"),
    ("json", b"9" * 5000, f"integer {'9' * 64}… is outside {RANGE} (at byte 0)"),
]


@pytest.mark.guarantee("V-21")
@pytest.mark.parametrize(("codec", "data", "said"), DECODE, ids=[f"{data[:12]!r}" for _, data, _ in DECODE])
def test_a_message_that_is_refused_says_what_is_wrong_and_where(codec: Any, data: bytes | str, said: str) -> None:
    with pytest.raises(DecodeError) as caught:
        pybridge.decode(data, codec)  # type: ignore[arg-type]
    assert str(caught.value) == said
    assert said.endswith(f"(at byte {caught.value.offset})")


@pytest.mark.parametrize(
    ("codec", "data", "key"),
    [
        ("json", b'{"a":1,"a":2}', '"a" comes twice in one map (at byte 8)'),
        ("json", b'{"a":{"b":1,"c":2,"b":3},"a":1}', '"b" comes twice in one map (at byte 19)'),
        ("json", b'{"a":1,"\\u0061":2}', '"a" comes twice in one map (at byte 8)'),
        ("json", '{"é\\n":1,"é\\n":2}'.encode(), '"é\\n" comes twice in one map (at byte 11)'),
        (
            "json",
            b'{"' + b"k" * 99 + b'":1,"' + b"k" * 99 + b'":2}',
            f'"{"k" * 64}…" comes twice in one map (at byte 106)',
        ),
        ("msgpack", b"\x82\xa1a\x01\xa1a\x02", '"a" comes twice in one map (at byte 5)'),
        (ANY_KEYS, b"\x82\x01\x01\xcc\x01\x02", "1 comes twice in one map (at byte 3)"),
        (ANY_KEYS, b"\x82\xd0\xff\x01\xff\x02", "-1 comes twice in one map (at byte 4)"),
        (ANY_KEYS, b"\x82\xc4\x01\xff\x01\xc4\x01\xff\x02", 'b"\\xff" comes twice in one map (at byte 5)'),
        (ANY_KEYS, b"\x83\xa1a\x01\xc4\x01a\x02\xa1a\x03", '"a" comes twice in one map (at byte 9)'),
    ],
)
def test_a_key_that_comes_twice_is_named_with_its_second_place(codec: Any, data: bytes, key: str) -> None:
    with pytest.raises(DecodeError) as caught:
        pybridge.decode(data, codec, STRICT)
    assert str(caught.value) == f"key {key}"
    assert key.endswith(f"(at byte {caught.value.offset})")
