"""Exact builtin types take short ways; the bytes must be those of the long ways."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pybridge


class I(int): ...  # noqa: E742


class F(float): ...


class S(str):
    __slots__ = ()


class L(list[Any]): ...


class D(dict[Any, Any]): ...


def slow(value: Any) -> Any:
    """The same value of types that no short way takes."""
    match value:
        case bool() | None:
            return value
        case int():
            return I(value)
        case float():
            return F(value)
        case str():
            return S(value)
        case list():
            return L(map(slow, value))
        case dict():
            return D({S(key): slow(item) for key, item in value.items()})
    raise AssertionError(value)


def both(value: Any, codec: Any) -> bytes:
    quick = bytes(pybridge.encode(value, codec))
    assert bytes(pybridge.encode(slow(value), codec)) == quick
    return quick


def number(source: random.Random) -> Any:
    kind = source.randrange(8)
    if kind < 4:
        return source.choice((1, -1)) * source.getrandbits(source.randrange(1, 64))
    if kind < 6:
        return source.uniform(-1, 1) * 10.0 ** source.randrange(-300, 300)
    return source.choice((True, False, 0, -0.0, 2**64 - 1, -(2**63), 2**63))


def strict(value: Any) -> Any:
    """Equal only if the types are."""
    if isinstance(value, list):
        return [strict(item) for item in value]
    return (type(value), repr(value))


@pytest.mark.guarantee("V-02")
def test_lists_of_numbers_are_the_same_on_every_way() -> None:
    """A million generated numbers; what is read back has the very types."""
    source = random.Random(20_240_229)
    for size, count in ((1, 500), (7, 500), (1000, 996)):
        for _ in range(count):
            pure = source.randrange(4)
            numbers = [number(source) for _ in range(size)]
            if pure == 0:
                numbers = [float(value) for value in numbers]
            elif pure == 1:
                numbers = [value for value in numbers if type(value) is int]
            quick = both(numbers, "msgpack")
            assert quick == msgspec.msgpack.encode(numbers)
            assert strict(msgspec.msgpack.decode(quick)) == strict(numbers)
            if size < 1000 or pure == 0:
                assert both(numbers, "json") == orjson.dumps(numbers)


TEXT = st.text(st.characters(exclude_categories=["Cs"])) | st.text('a"\\\n\x00é日😀', max_size=600)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=40) | st.dictionaries(TEXT, inner, max_size=20), max_leaves=60
)


@pytest.mark.guarantee("V-02")
@settings(max_examples=100, deadline=None)
@given(VALUES)
def test_generated_values_are_the_same_on_every_way_and_in_public_encoders(value: Any) -> None:
    assert both(value, "msgpack") == msgspec.msgpack.encode(value)
    assert both(value, "json") == orjson.dumps(value)


def test_text_of_every_length_and_width_is_that_of_public_encoders() -> None:
    source = random.Random(7)
    alphabets = ["abc", 'ab"\\\n\x01', "aé", "é", "a日é", "日本語", "a😀é日", "😀", "\x00\x1f\x7f\x80\uffff"]
    for length in [*range(70), 255, 256, 257, 511, 4095, 4096, 4097, 5000, 70_000]:
        for alphabet in alphabets:
            text = "".join(source.choices(alphabet, k=length))
            assert bytes(pybridge.encode([text, {text: 1}], "msgpack")) == msgspec.msgpack.encode([text, {text: 1}])
            assert bytes(pybridge.encode([text, {text: 1}], "json")) == orjson.dumps([text, {text: 1}])
            assert bytes(pybridge.encode(text, "raw")) == text.encode()


def test_encoding_long_text_leaves_no_second_copy_in_the_str() -> None:
    import sys

    for codec in ("msgpack", "json", "raw"):
        text = "日本" * 50_000
        before = sys.getsizeof(text)
        pybridge.encode(text, codec)
        assert sys.getsizeof(text) == before
