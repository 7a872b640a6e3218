"""Generated values against four other codecs: the same bytes where they agree, the same values everywhere."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from typing import Any

import msgpack  # type: ignore[import-untyped]
import msgspec
import orjson
import ormsgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pybridge
from pybridge import DecodeError, JsonCodec, MsgpackCodec

Reader = Callable[[bytes], Any]
Writer = Callable[[Any], bytes]

examples = settings(max_examples=60, derandomize=True, database=None, deadline=None)

MSGPACK_WRITERS: dict[str, Writer] = {
    "msgspec": msgspec.msgpack.encode,
    "ormsgpack": ormsgpack.packb,
    "msgpack": msgpack.packb,
}
MSGPACK_READERS: dict[str, Reader] = {
    "msgspec": msgspec.msgpack.decode,
    "ormsgpack": ormsgpack.unpackb,
    "msgpack": msgpack.unpackb,
}
JSON_WRITERS: dict[str, Writer] = {"orjson": orjson.dumps, "msgspec": msgspec.json.encode}
JSON_READERS: dict[str, Reader] = {"orjson": orjson.loads, "msgspec": msgspec.json.decode, "json": json.loads}

BITS = (0, 5, 7, 8, 15, 16, 31, 32, 53, 62, 63, 64)
BORDERS = [sign * 2**bits + more for bits in BITS for sign in (1, -1) for more in (-1, 0, 1)]
FITTING = [value for value in BORDERS if -(2**63) <= value < 2**64]
integers = st.one_of(st.integers(-(2**63), 2**64 - 1), st.integers(-300, 300), st.sampled_from(FITTING))
EXTREMES = [
    0.0, -0.0, 5e-324, -5e-324, 2.225073858507201e-308, 2.2250738585072014e-308, 1.7976931348623157e308, 0.1, 1 / 3,
    9007199254740993.0, 1e15, 1e16, 1e17, 1e21, 1e22, 1e23, 1e-5, 1e-6, 1e-7, 123456789012345680.0, 4.35, 2.0**64,
]  # fmt: skip
finite = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(EXTREMES))
LENGTHS = (31, 32, 255, 256, 300)
texts = st.one_of(
    st.text(max_size=20),
    st.text('ab"\\/\n\t\r\b\f\x00\x1f\x7f\x80éß߿ࠀ日\u2028\ufeff😀\U0010ffff', max_size=20),
    st.builds(str.__mul__, st.sampled_from("xé日😀"), st.sampled_from(LENGTHS)),
)
scalars = st.one_of(st.none(), st.booleans(), integers, finite, texts)
binary = st.one_of(st.binary(max_size=20), st.sampled_from(LENGTHS).map(bytes))


def trees(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=8),
            st.dictionaries(texts, inner, max_size=8),
            st.lists(integers, min_size=8, max_size=20),
            st.lists(finite, min_size=8, max_size=20),
        ),
        max_leaves=12,
    )


json_values = trees(scalars)
msgpack_values = trees(st.one_of(scalars, binary, st.sampled_from([math.nan, math.inf, -math.inf])))


def exact(value: Any) -> Any:
    """The value with its types, the order of its keys, and floats by their bits."""
    if isinstance(value, float):
        return struct.pack(">d", value)
    if isinstance(value, list | tuple):
        return [exact(item) for item in value]
    if isinstance(value, dict):
        return [(key, exact(item)) for key, item in value.items()]
    return type(value), value


def packed(value: Any, codec: Any = "msgpack") -> bytes:
    return bytes(pybridge.encode(value, codec))


BUILTIN: list[Any] = [
    None, True, False, "", "a", "é", "日本", "😀", "x" * 31, "x" * 32, "x" * 255, "x" * 256, "x" * 65535, "x" * 65536,
    "é" * 200, "é" * 300, "日" * 70_000, "😀" * 300, 'a\n"\\\x00\x1f\x7f',
    0, 1, -1, 127, 128, -32, -33, 255, 256, -128, -129, 65535, 65536, -32768, -32769, 2**31, 2**32 - 1, 2**32,
    -(2**31), -(2**31) - 1, 2**62, 2**63, 2**64 - 1, -(2**63), 0.0, -0.0, 1.5, 1e300, 5e-324,
    [], [1], list(range(16)), list(range(70_000)), {}, {"a": {"b": [None]}}, (), (1, "a", None), [0.5] * 100,
    {str(i): i for i in range(16)}, {str(i): i for i in range(70_000)},
]  # fmt: skip


@pytest.mark.guarantee("V-01")
@pytest.mark.parametrize("value", BUILTIN, ids=lambda value: type(value).__name__)
def test_builtin_values_are_the_bytes_that_public_encoders_write(value: Any) -> None:
    assert packed(value) == msgspec.msgpack.encode(value) == ormsgpack.packb(value)
    assert packed(value, "json") == orjson.dumps(value)


@pytest.mark.guarantee("V-01")
@given(msgpack_values)
@examples
def test_msgpack_is_what_others_write_and_what_others_read(value: Any) -> None:
    data = packed(value)
    for name, write in MSGPACK_WRITERS.items():
        assert write(value) == data, name
    for name, read in MSGPACK_READERS.items():
        assert exact(read(data)) == exact(value), name
    assert exact(pybridge.decode(data)) == exact(value)


@pytest.mark.guarantee("V-01")
@given(json_values)
@examples
def test_json_is_what_orjson_writes_and_what_others_read(value: Any) -> None:
    data = packed(value, "json")
    assert orjson.dumps(value) == data
    for name, read in JSON_READERS.items():
        assert exact(read(data)) == exact(value), name
    for name, write in JSON_WRITERS.items():
        assert exact(pybridge.decode(write(value), "json")) == exact(value), name
    spaced = json.dumps(value, indent=1).encode()
    assert exact(pybridge.decode(spaced, "json")) == exact(value)


@given(st.dictionaries(st.one_of(st.text(max_size=5), integers, st.binary(max_size=5)), scalars, max_size=8))
@examples
def test_other_keys_are_what_others_read(value: Any) -> None:
    codec = MsgpackCodec(keys="any")
    data = packed(value, codec)
    assert msgpack.packb(value) == data
    assert exact(msgpack.unpackb(data, strict_map_key=False)) == exact(value)
    assert exact(pybridge.decode(data, codec)) == exact(value)


def verdict(read: Reader, data: bytes) -> Any:
    """The value, or that there is none."""
    try:
        return exact(read(data))
    except (ValueError, TypeError, RecursionError):
        return "refused"


Change = tuple[int, int, str]
changes = st.lists(
    st.tuples(st.integers(0, 200), st.integers(0, 255), st.sampled_from(["put", "insert", "drop"])), max_size=3
)


def mutated(data: bytes, edits: list[Change]) -> bytes:
    broken = bytearray(data)
    for where, byte, how in edits:
        at = where % (len(broken) + 1)
        broken[at : at + (how != "insert")] = b"" if how == "drop" else bytes([byte])
    return bytes(broken)


@pytest.mark.guarantee("V-21")
@given(trees(scalars), changes)
@examples
def test_broken_json_is_refused_where_the_strict_readers_refuse_it(value: Any, edits: list[Change]) -> None:
    data = mutated(orjson.dumps(value), edits)
    ours = verdict(lambda data: pybridge.decode(data, "json"), data)
    strict = [verdict(orjson.loads, data), verdict(msgspec.json.decode, data)]
    # Integers that no 64 bits hold become floats elsewhere.
    assert ours in strict or (ours == "refused" and any(map(str.isdigit, data.decode(errors="replace"))))


@pytest.mark.guarantee("V-21")
@given(msgpack_values, changes)
@examples
def test_broken_msgpack_is_refused_where_the_strict_readers_refuse_it(value: Any, edits: list[Change]) -> None:
    data = mutated(msgpack.packb(value), edits)
    ours = verdict(pybridge.decode, data)
    others = [verdict(msgspec.msgpack.decode, data), verdict(msgpack.unpackb, data)]
    if ours != "refused":
        assert ours in others
    elif others != ["refused"] * 2:
        # Others take extension types and keys of any type.
        with pytest.raises(DecodeError, match=r"extension type|a key that is not a string"):
            pybridge.decode(data)


@pytest.mark.guarantee("V-03")
@pytest.mark.parametrize("value", [*BORDERS, 10**400, -(10**400)], ids=str)
def test_integers_come_back_exactly_or_not_at_all(value: int) -> None:
    fits = -(2**63) <= value < 2**64
    text = b'{"a":[0,1,2,%s]}' % str(value).encode() if abs(value) < 10**300 else b'{"a":[0,1,2,%s1]}' % (b"9" * 400)
    if fits:
        item = {"a": [0, 1, 2, value]}
        assert exact(pybridge.decode(text, "json")) == exact(item)
        for write in MSGPACK_WRITERS.values():
            assert exact(pybridge.decode(write(item))) == exact(item)
        return
    with pytest.raises(DecodeError) as caught:
        pybridge.decode(text, "json")
    assert caught.value.offset == 12


@given(integers)
@examples
def test_every_width_of_an_integer_is_read(value: int) -> None:
    forms = {0xCC: "B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: "b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
    for marker, form in forms.items():
        try:
            data = bytes([marker]) + struct.pack(form, value)
        except struct.error:
            continue
        assert exact(pybridge.decode(data)) == exact(value)


def number_text(sign: str, whole: int, fraction: str | None, exponent: int | None, mark: str) -> str:
    text = f"{sign}{whole}"
    if fraction is not None:
        text += f".{fraction}"
    if exponent is not None:
        text += f"{mark}{exponent}"
    return text


number_texts = st.builds(
    number_text,
    st.sampled_from(["", "-"]),
    st.one_of(
        st.integers(0, 100), st.integers(0, 2**64), st.integers(0, 10**25), st.sampled_from([2**64, 2**65, 10**19])
    ),
    st.one_of(st.none(), st.text("0123456789", min_size=1, max_size=25)),
    st.one_of(st.none(), st.integers(-340, 320), st.integers(-30, 30)),
    st.sampled_from(["e", "E"]),
)


@given(st.lists(number_texts, min_size=10, max_size=20))
@examples
def test_number_text_means_what_the_interpreter_says(numbers: list[str]) -> None:
    for text in numbers:
        ours = verdict(lambda data: pybridge.decode(data, "json"), text.encode())
        whole = not set(text) & set(".eE")
        value: Any = int(text) if whole else float(text)
        taken = -(2**63) <= value < 2**64 if whole else math.isfinite(value)
        assert ours == (exact(value) if taken else "refused"), text


@pytest.mark.guarantee("V-04")
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-0", 0), ("-0.0", -0.0), ("-0e5", -0.0), ("0e400", 0.0), ("5e-324", 5e-324),
        ("2.4703282292062328e-324", 5e-324),
        ("2.4703282292062327e-324", 0.0), ("-1e-400", -0.0), ("2.2250738585072011e-308", 2.225073858507201e-308),
        ("1.7976931348623157e308", 1.7976931348623157e308), ("1.7976931348623158e308", 1.7976931348623157e308),
        ("9007199254740993.0", 9007199254740992.0), ("18446744073709551616.0", 2.0**64),
        ("18446744073709551616.5e-1", 2.0**64 / 10), ("1" + "0" * 400 + "e-400", 1.0),
        ("0." + "0" * 400 + "1e401", 1.0), ("1e0000000000000000000002", 100.0),
    ],
)  # fmt: skip
def test_floats_are_read_to_the_last_bit(text: str, value: float) -> None:
    assert exact(pybridge.decode(text.encode(), "json")) == exact(value)


@pytest.mark.guarantee("V-04")
def test_what_is_no_number_in_json_is_refused() -> None:
    refused = [
        "NaN", "nan", "Infinity", "-Infinity", "inf", "1e400", "-1e400", "1e999999999999999999999",
        "1.7976931348623159e308", "01", "-01", "00", "+1", ".5", "5.", "1e", "1e+", "-", "0x1", "1_0", "1.e5", "--1",
        "1e1.5", "٣",
    ]  # fmt: skip
    for text in refused:
        for data in (text, f"[{text}]", f'{{"a":{text}}}'):
            with pytest.raises(DecodeError):
                pybridge.decode(data.encode(), "json")


@pytest.mark.guarantee("V-04")
def test_msgpack_floats_keep_their_bits() -> None:
    for bits in (0x7FF8000000000000, 0xFFF0000000000000, 0x7FF0000000000000, 0x8000000000000000, 1, 0x7FFFFFFFFFFFFFFF):
        data = b"\xcb" + struct.pack(">Q", bits)
        alone, listed, named = map(pybridge.decode, (data, b"\x93" + data * 3, b"\x81\xa1a" + data))
        for value in (alone, *listed, named["a"]):
            assert struct.pack(">d", value) == data[1:]
            assert packed(value) == data
    for value in (0.5, -0.0, math.inf, 1e-40):
        single = struct.pack(">f", value)
        assert exact(pybridge.decode(b"\xca" + single)) == exact(*struct.unpack(">f", single))


@pytest.mark.parametrize("unit", ["x", "é", "日", "😀", 'a"', "\x01"])
def test_long_text_is_what_others_write_and_read(unit: str) -> None:
    for length in (65_535, 65_536, 70_000):
        value = {"a": [unit * (length // len(unit.encode()) + 1)]}
        assert packed(value) == msgspec.msgpack.encode(value)
        assert packed(value, "json") == orjson.dumps(value)
        assert pybridge.decode(packed(value)) == pybridge.decode(packed(value, "json"), "json") == value


@pytest.mark.guarantee("V-05")
@given(binary)
@examples
def test_base64_is_what_others_write(value: bytes) -> None:
    assert packed({"a": [value]}, JsonCodec(bytes="base64")) == msgspec.json.encode({"a": [value]})
