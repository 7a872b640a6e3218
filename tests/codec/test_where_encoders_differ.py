"""The table "Where other encoders differ" of docs/values.md, made anew from what the encoders do."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import json
import sys
import uuid
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import msgpack  # type: ignore[import-untyped]
import msgspec
import numpy as np
import orjson
import ormsgpack
import pydantic
import pytest

import pybridge
from pybridge import JsonCodec, MsgpackCodec

PAGE = (Path(__file__).parents[2] / "docs" / "values.md").read_text()
TABLE = PAGE.split("## Where other encoders differ")[1].split("\n\n")[2].splitlines()

Hook = Callable[[Any], Any] | None
Encoder = Callable[[Any, Hook], bytes]

ENCODERS: dict[str, dict[str, Encoder]] = {
    "pybridge": {
        "json": lambda value, hook: bytes(pybridge.encode(value, JsonCodec(default=hook))),
        "msgpack": lambda value, hook: bytes(pybridge.encode(value, MsgpackCodec(default=hook))),
    },
    "msgspec": {
        "json": lambda value, hook: msgspec.json.encode(value, enc_hook=hook),
        "msgpack": lambda value, hook: msgspec.msgpack.encode(value, enc_hook=hook),
    },
    "ormsgpack": {"msgpack": lambda value, hook: ormsgpack.packb(value, hook, ormsgpack.OPT_SERIALIZE_NUMPY)},
    "orjson": {"json": lambda value, hook: orjson.dumps(value, hook, orjson.OPT_SERIALIZE_NUMPY)},
    "msgpack": {"msgpack": lambda value, hook: bytes(msgpack.packb(value, default=hook))},
}
HOOKS = {"msgspec": "by `enc_hook`"}
"""What a cell says where the encoder asks its hook; elsewhere that is named `default`."""


@dataclasses.dataclass(frozen=True)
class Row:
    """Values that an encoder treats alike.

    Attributes:
        values: One value of each kind.
        words: What a cell says of what comes back, by its `repr`.
        format: The only format that the row is about.
        options: Codecs of pybridge that do something else, by what the cell says of them.
        raw: What comes back is not decoded.
    """

    values: list[Any]
    words: dict[str, str]
    format: str | None = None
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    raw: bool = False

    def cell(self, encoder: str) -> str:
        formats = {name: encode for name, encode in ENCODERS[encoder].items() if self.format in {None, name}}
        if not formats:
            return "-"
        found = {self.word(name, encode, encoder) for name, encode in formats.items()}
        if encoder == "pybridge":
            for said, codec in self.options.items():
                word = self.word(codec.format, lambda value, _: bytes(pybridge.encode(value, codec)), encoder)  # noqa: B023
                found = {f"{cell}, or {word} with `{said}`" for cell in found}
        assert len(found) == 1, (encoder, found)
        return found.pop()

    def word(self, name: str, encode: Encoder, encoder: str) -> str:
        words = {self.outcome(name, encode, value, encoder) for value in self.values}
        assert len(words) == 1, (encoder, words)
        return words.pop()

    def outcome(self, name: str, encode: Encoder, value: Any, encoder: str) -> str:
        try:
            data = encode(value, None)
        except (TypeError, ValueError, NotImplementedError, OverflowError, BufferError):
            return HOOKS.get(encoder, "by `default`") if asks(encode, value) else "refused"
        if self.raw:
            return self.words[repr(data)]
        decode = json.loads if name == "json" else lambda data: msgpack.unpackb(data, strict_map_key=False)
        return self.words[repr(decode(data))]


def asks(encode: Encoder, value: Any) -> bool:
    """Whether the encoder's hook gets the very value."""
    asked: list[Any] = []

    def hook(given: Any) -> str:
        asked.append(given)
        return "instead"

    try:
        encode(value, hook)
    except (TypeError, ValueError, NotImplementedError, OverflowError, BufferError):
        return False
    return asked[0] is value


class Str(str):
    __slots__ = ()


class Int(int): ...


class Float(float): ...


class Pair(NamedTuple):
    a: int


class Tuple(tuple[int, ...]):
    __slots__ = ()


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Plain:
    a: int = 1


@dataclasses.dataclass
class Private:
    _a: int = 1


class Listed(msgspec.Struct, array_like=True):
    a: int = 1


class Short(msgspec.Struct, omit_defaults=True):
    a: int = 1


class Hidden(pydantic.BaseModel):
    a: int = 1
    b: int = pydantic.Field(default=2, exclude=True)


class Moment(dt.datetime): ...


class NoTime(dt.datetime):
    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = dt.datetime.__hash__


UTC = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
NAIVE = UTC.replace(tzinfo=None)
BIG = 2**64
TEXT = {"'2024-01-01T00:00:00'": "text", "'2024-01-01'": "text", "'01:00:00'": "text"}

ROWS: dict[str, Row] = {
    "subclasses of `str` and `int`": Row([Str("a"), Int(1)], {"'a'": "storage", "1": "storage"}),
    "subclasses of `float`": Row([Float(1.5)], {"1.5": "storage"}),
    "named tuples and other subclasses of `tuple`": Row([Pair(1), Tuple((1,))], {"[1]": "array"}),
    "`set`, `frozenset`": Row([{1}, frozenset({1})], {"[1]": "array"}),
    "`deque`": Row([collections.deque([1])], {"[1]": "array"}),
    "enums": Row([Colour.RED], {"'red'": "their value"}),
    "naive `datetime`, `date`, `time`": Row([NAIVE, NAIVE.date(), dt.time(1)], TEXT),
    "subclasses of `datetime`": Row([Moment(2024, 1, 1)], TEXT),
    "a `datetime` that does not equal itself, as `pandas.NaT`": Row([NoTime(2024, 1, 1)], {"None": "null"}),
    "aware `datetime` in MessagePack": Row(
        [UTC], {"'2024-01-01T00:00:00+00:00'": "text", repr(msgpack.Timestamp.from_datetime(UTC)): "ext timestamp"},
        "msgpack",
    ),
    "`datetime` in UTC in JSON": Row(
        [UTC], {"'2024-01-01T00:00:00+00:00'": "`+00:00`", "'2024-01-01T00:00:00Z'": "`Z`"}, "json"
    ),
    "`time` with a zone": Row(
        [UTC.timetz()], {"'00:00:00+00:00'": "with its offset", "'00:00:00Z'": "with its offset"}
    ),
    "`timedelta`": Row([dt.timedelta(1)], {"'P1D'": "text"}),
    "`PurePath`, objects of `ipaddress`": Row(
        [PurePosixPath("a"), ip_address("::1")], {"'a'": "text", "'::1'": "text"}
    ),
    "`Decimal`": Row([decimal.Decimal("1.50")], {"'1.50'": "text"}),
    "`UUID`": Row([uuid.UUID(int=0)], {"'00000000-0000-0000-0000-000000000000'": "text"}),
    "NaN and infinities in JSON": Row(
        [float("nan"), float("inf")], {"None": "null"}, "json", {'nonfinite="null"': JsonCodec(nonfinite="null")}
    ),
    "floats of 10^16 and more in JSON": Row([1e16], {"b'1e+16'": "`1e+16`", "b'1e16'": "`1e16`"}, "json", raw=True),
    "integers outside -2^63 .. 2^64-1 in JSON": Row([BIG], {"18446744073709551616": "number"}, "json"),
    "`bytes` in JSON": Row([b"a"], {"'YQ=='": "base64"}, "json", {'bytes="base64"': JsonCodec(bytes="base64")}),
    "`memoryview` with gaps in MessagePack": Row([memoryview(b"abc")[::2]], {"b'ac'": "its bytes"}, "msgpack"),
    "`int` keys in JSON": Row([{1: 2}], {"{'1': 2}": "text"}, "json", {'keys="any"': JsonCodec(keys="any")}),
    "`float` keys in JSON": Row([{1.5: 2}], {"{'1.5': 2}": "text"}, "json", {'keys="any"': JsonCodec(keys="any")}),
    "`bool` and `None` keys in JSON": Row(
        [{True: 2}, {None: 2}],
        {"{'true': 2}": "text", "{'null': 2}": "text"},
        "json",
        {'keys="any"': JsonCodec(keys="any")},
    ),
    "`int` and `bytes` keys in MessagePack": Row(
        [{1: 2}, {b"a": 2}],
        {"{1: 2}": "as they are", "{b'a': 2}": "as they are"},
        "msgpack",
        {'keys="any"': MsgpackCodec(keys="any")},
    ),
    "`float`, `bool` and `None` keys in MessagePack": Row(
        [{1.5: 2}, {True: 2}, {None: 2}],
        {"{1.5: 2}": "as they are", "{True: 2}": "as they are", "{None: 2}": "as they are"},
        "msgpack",
    ),
    "dataclasses": Row([Plain()], {"{'a': 1}": "map"}),
    "dataclasses with fields that begin with `_`": Row([Private()], {"{'_a': 1}": "all fields", "{}": "without them"}),
    "`msgspec.Struct` with `array_like` or `omit_defaults`": Row(
        [Listed(), Short()], {"{'a': 1}": "map of all fields", "[1]": "as it says", "{}": "as it says"}
    ),
    "models of pydantic": Row([Hidden()], {"{'a': 1}": "by their serializers"}),
    "numbers and arrays of numpy": Row([np.int64(1), np.arange(2)], {"1": "numbers", "[0, 1]": "numbers"}),
    "arrays of numpy that are not C-contiguous": Row([np.arange(4)[::2]], {"[0, 2]": "numbers"}),
    "arrays of numpy in the other byte order": Row(
        [np.arange(2, dtype=">i4")], {"[0, 1]": "numbers", "[0, 16777216]": "wrong numbers"}
    ),
    "`datetime64` of a day": Row(
        [np.datetime64("2024-01-01")], {"'2024-01-01'": "date", "'2024-01-01T00:00:00'": "date and time"}
    ),
    "`datetime64` of nanoseconds": Row(
        [np.datetime64("2024-01-01T00:00:00.000001002")],
        {
            "'2024-01-01T00:00:00.000001002'": "nine decimal places",
            "'2024-01-01T00:00:00.000001'": "six decimal places",
        },
    ),
    "`datetime64` that is no time": Row([np.datetime64("NaT", "s")], {"None": "null"}),
    "`timedelta64`": Row([np.timedelta64(1, "D")], {"'P1D'": "text"}),
    "`float32` of numpy in MessagePack": Row([np.float32(0.1)], {"0.10000000149011612": "float 32"}, "msgpack"),
    "`float32` of numpy in JSON": Row([np.float32(0.1)], {"0.1": "digits of a float 32"}, "json"),
}  # fmt: skip


def deepest(encode: Encoder) -> int:
    """How many lists inside one another the encoder takes, up to 4,000."""

    def takes(depth: int) -> bool:
        value: list[Any] = []
        for _ in range(depth - 1):
            value = [value]
        try:
            encode(value, None)
        except (TypeError, ValueError, RecursionError):
            return False
        return True

    low, high = 1, 4000
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if takes(middle) else (low, middle - 1)
    return low


def test_the_table_names_the_encoders_and_all_rows() -> None:
    assert TABLE[0] == f"| value | {' | '.join(ENCODERS)} |"
    assert [line.split(" | ")[0].removeprefix("| ") for line in TABLE[2:]] == [*ROWS, "depth"]


@pytest.mark.guarantee("V-01")
@pytest.mark.parametrize("label", ROWS)
def test_a_row_says_what_the_encoders_do(label: str) -> None:
    cells = [ROWS[label].cell(encoder) for encoder in ENCODERS]
    assert f"| {label} | {' | '.join(cells)} |" in TABLE


def test_the_row_of_depths_says_what_the_encoders_take() -> None:
    depths = {name: {deepest(encode) for encode in formats.values()} for name, formats in ENCODERS.items()}
    assert min(depths.pop("msgspec")) > sys.getrecursionlimit() - 100  # the interpreter counts calls of C apart
    rest = {name: f"{found.pop():,}" for name, found in depths.items() if len(found) == 1}
    cells = [f"{rest['pybridge']}, a setting", "the recursion limit", *(rest[name] for name in list(ENCODERS)[2:])]
    assert f"| depth | {' | '.join(cells)} |" in TABLE
