"""`Frame` as the bytes that it holds."""

from __future__ import annotations

import copy
import hashlib
import io
import pickle
from typing import Any
from unittest.mock import ANY

import pytest

import pybridge
from pybridge import Frame, JsonCodec, LimitExceeded, Limits, MsgpackCodec

from support.consumers import collect
from support.engines import EngineMaker

VALUE = {"a": list(range(40)), "b": "é"}


def frame(codec: Any = "msgpack", limits: Limits | None = None, value: Any = VALUE) -> Frame:
    return pybridge.encode(value, codec, limits)


PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


@pytest.mark.guarantee("V-24")
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("codec", "value"),
    [
        ("msgpack", VALUE),
        ("json", VALUE),
        ("raw", b"as it is"),
        (MsgpackCodec(default=lambda _: 0, keys="any"), {1: b"k", b"b": []}),
        (JsonCodec(keys="any", ascii=True), {"é": 1}),
    ],
    ids=["msgpack", "json", "raw", "any keys", "ascii"],
)
def test_a_pickled_frame_has_its_bytes_its_codec_and_its_limits(codec: Any, value: Any, protocol: int) -> None:
    limits = Limits(max_depth=5, max_nodes=99, max_metadata_entries=3, duplicate_keys="error", max_expansion=20)
    made = frame(codec, limits, value)
    again = pickle.loads(pickle.dumps(made, protocol))
    assert type(again) is Frame
    assert again == made
    assert again.decode() == made.decode()
    assert again.__reduce__() == made.__reduce__()
    assert pickle.loads(pickle.dumps(frame())).__reduce__() == frame().__reduce__()


def test_a_pickled_frame_is_held_to_its_limits() -> None:
    tight = frame("json", Limits(max_depth=1), [1])
    reduced: Any = tight.__reduce__()
    restore, (data, *rest) = reduced
    assert data == b"[1]"
    with pytest.raises(LimitExceeded):
        restore(b"[[1]]", *rest).decode()
    with pytest.raises(ValueError, match="no format"):
        restore(b"", "yaml", *rest[1:])


def test_a_copy_of_a_frame_is_the_frame() -> None:
    made = frame()
    assert copy.copy(made) is made
    assert copy.deepcopy(made) is made
    assert copy.deepcopy([made, made]) == [made, made]


SLICES = [
    slice(None), slice(3), slice(-3, None), slice(2, -2), slice(None, None, 2), slice(None, None, -1), slice(9, 2, -3),
    slice(9, 2), slice(-99, 99), slice(99, None), slice(None, None, 99), slice(True, 5),
]  # fmt: skip


@pytest.mark.guarantee("V-24")
@pytest.mark.parametrize("index", [*SLICES, 0, 1, -1, True], ids=str)
def test_indexes_and_slices_are_those_of_bytes(index: Any) -> None:
    for made in (frame(), frame("raw", None, b"0"), frame("json", None, "x" * 70_000)):
        data = bytes(made)
        try:
            expected = data[index]
        except IndexError:
            with pytest.raises(IndexError, match=r"^Frame index out of range$"):
                made[index]
        else:
            assert made[index] == expected
            assert type(made[index]) is type(expected)


def test_what_is_no_index_is_refused_as_bytes_do() -> None:
    made: Any = frame()
    for index in (len(made), -len(made) - 1, 10**30, -(10**30)):
        with pytest.raises(IndexError):
            made[index]
    for wrong in ("a", 1.0, None, (1, 2)):
        with pytest.raises(TypeError, match=f"Frame indices must be integers or slices, not {type(wrong).__name__}"):
            made[wrong]
    with pytest.raises(ValueError, match="slice step cannot be zero"):
        made[::0]
    with pytest.raises(TypeError):
        made[0] = 1


def test_a_frame_is_a_sequence_of_numbers() -> None:
    made = frame()
    data = bytes(made)
    assert list(made) == list(data)
    assert list(reversed(made)) == list(reversed(data))
    assert data[0] in made
    assert all(number in data for number in made)


class Anything:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.guarantee("V-24")
def test_a_frame_equals_the_bytes_it_holds_and_leaves_other_types_their_say() -> None:
    made, data = frame(), bytes(frame())
    for same in (frame(), data, bytearray(data), memoryview(data), Anything(), ANY):
        assert made == same
        assert same == made
        assert not made != same  # noqa: SIM202
    for other in (frame(value=1), data[1:], bytearray(data[1:]), memoryview(data)[1:], "text", 5, None, object()):
        assert made != other
        assert other != made
        assert not made == other  # noqa: SIM201
    for other in (bytearray(data), "text", None, Anything()):
        assert made.__eq__(other) is NotImplemented
        assert made.__ne__(other) is NotImplemented
    assert made.__eq__(data) is True
    assert hash(made) == hash(data)
    assert {made, data} == {data}
    with pytest.raises(TypeError, match="not supported between instances"):
        made < data  # type: ignore[operator]  # noqa: B015


async def test_a_frame_of_a_stream_goes_where_bytes_go(make_engine: EngineMaker) -> None:
    async def handler(_: object) -> Any:
        yield VALUE

    [made] = await collect(make_engine(handler).frames(None))
    file = io.BytesIO()
    assert file.write(made) == len(made)
    assert file.getvalue() == b"".join([made]) == bytes(made) == made[:] == memoryview(made)
    assert hashlib.sha256(made).digest() == hashlib.sha256(bytes(made)).digest()
    assert pickle.loads(pickle.dumps(made)).decode() == VALUE


# Around the bounds of short frames, of those that are copied, and of what shares segments.
LENGTHS = [0, 1, 31, 511, 512, 513, 16_383, 16_384, 16_385, 32_769, 70_000, 3_000_000]


@pytest.mark.parametrize("length", LENGTHS)
def test_a_frame_holds_its_bytes_whatever_its_length(length: int) -> None:
    data = bytes(number % 251 for number in range(length))
    kept = [pybridge.encode(data, "raw") for _ in range(5)]
    others = [pybridge.encode(data[::-1], "raw"), pybridge.encode(data[::-1])]
    for made in kept:
        assert len(made) == length
        assert bytes(made) == made.decode() == pybridge.decode(made) == memoryview(made) == data
    assert [bytes(other.decode()) for other in others] == [data[::-1]] * 2


@pytest.mark.guarantee("V-18")
@pytest.mark.parametrize("length", [10, 600, 20_000, 100_000])
def test_an_encoding_inside_another_or_after_one_that_failed_has_bytes_of_its_own(length: int) -> None:
    class Foreign:
        pass

    def hook(_: object) -> object:
        return bytes(pybridge.encode("b" * length, "json"))

    value = ["a" * length, Foreign(), "c" * length]
    with pytest.raises(pybridge.EncodeError):
        pybridge.encode(value)
    made = pybridge.encode(value, MsgpackCodec(default=hook))
    assert made.decode() == ["a" * length, b'"' + b"b" * length + b'"', "c" * length]


async def test_a_short_frame_is_taken_as_a_request(make_engine: EngineMaker) -> None:
    async def handler(request: object) -> Any:
        yield request

    for value in ([1, 2], "x" * 1000):
        assert await collect(make_engine(handler)(pybridge.encode(value), encoded="msgpack")) == [value]
