"""What docs/values.md says is so."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import re
import uuid
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import msgspec
import numpy as np
import orjson
import ormsgpack
import pydantic
import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "values.md").read_text()


def test_every_example_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) > 8
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks:
        exec(block, names)


class Str(str):
    __slots__ = ()


class Pair(NamedTuple):
    a: int


@dataclasses.dataclass
class Private:
    _a: int = 1


def outcome(encode: Callable[[Any], bytes], value: Any) -> bytes | None:
    try:
        return encode(value)
    except (TypeError, ValueError, NotImplementedError):
        return None


def numpy_json(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def numpy_msgpack(value: Any) -> bytes:
    return ormsgpack.packb(value, option=ormsgpack.OPT_SERIALIZE_NUMPY)


def pydantic_msgpack(value: Any) -> bytes:
    return ormsgpack.packb(value, option=ormsgpack.OPT_SERIALIZE_PYDANTIC)


class Hidden(pydantic.BaseModel):
    a: int = 1
    b: int = pydantic.Field(default=2, exclude=True)


class Moment(dt.datetime): ...


ENCODERS = (msgspec.json.encode, orjson.dumps, ormsgpack.packb)
AWARE = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
DAYTIME = dt.time(1, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("encode", "value", "expected"),
    [
        (msgspec.msgpack.encode, Str("a"), None),
        (ormsgpack.packb, Str("a"), b"\xa1a"),
        (orjson.dumps, Str("a"), b'"a"'),
        (msgspec.json.encode, Pair(1), b"[1]"),
        (ormsgpack.packb, Pair(1), None),
        (orjson.dumps, Pair(1), None),
        (msgspec.json.encode, AWARE, b'"2024-01-01T00:00:00Z"'),
        (orjson.dumps, AWARE, b'"2024-01-01T00:00:00+00:00"'),
        (msgspec.json.encode, DAYTIME, b'"01:00:00Z"'),
        (orjson.dumps, DAYTIME, None),
        (ormsgpack.packb, DAYTIME, None),
        (msgspec.json.encode, decimal.Decimal("1.5"), b'"1.5"'),
        (orjson.dumps, decimal.Decimal("1.5"), None),
        (ormsgpack.packb, decimal.Decimal("1.5"), None),
        (msgspec.msgpack.encode, uuid.UUID(int=0), b"\xd9\x2400000000-0000-0000-0000-000000000000"),
        (ormsgpack.packb, uuid.UUID(int=0), b"\xd9\x2400000000-0000-0000-0000-000000000000"),
        (orjson.dumps, float("nan"), b"null"),
        (msgspec.json.encode, float("nan"), b"null"),
        (orjson.dumps, b"", None),
        (msgspec.json.encode, b"a", b'"YQ=="'),
        (msgspec.json.encode, {1}, b"[1]"),
        (orjson.dumps, {1}, None),
        (ormsgpack.packb, frozenset({1}), None),
        (msgspec.json.encode, collections.deque([1]), None),
        (orjson.dumps, collections.deque([1]), None),
        (ormsgpack.packb, collections.deque([1]), None),
        (msgspec.json.encode, dt.timedelta(1), b'"P1D"'),
        (orjson.dumps, dt.timedelta(1), None),
        (ormsgpack.packb, dt.timedelta(1), None),
        *((encode, value, None) for encode in ENCODERS for value in (PurePosixPath("a"), ip_address("::1"))),
        *((encode, Moment(2024, 1, 1), None) for encode in ENCODERS),
        (msgspec.json.encode, Hidden(), None),
        (orjson.dumps, Hidden(), None),
        (ormsgpack.packb, Hidden(), None),
        (pydantic_msgpack, Hidden(), b"\x82\xa1a\x01\xa1b\x02"),
        (msgspec.json.encode, np.datetime64("2024-01-01"), None),
        (numpy_json, np.datetime64("2024-01-01"), b'"2024-01-01T00:00:00"'),
        (numpy_msgpack, np.datetime64("2024-01-01"), b"\xb32024-01-01T00:00:00"),
        (numpy_json, np.datetime64("2024-01-01T00:00:00.000001002"), b'"2024-01-01T00:00:00.000001"'),
        (numpy_json, np.arange(4)[::2], None),
        (numpy_msgpack, np.arange(4)[::2], None),
        (numpy_json, np.arange(2, dtype=">i4"), None),
        (msgspec.json.encode, np.arange(2), None),
        (numpy_msgpack, np.float32(0.5), b"\xca\x3f\x00\x00\x00"),
        (numpy_json, np.float32(0.1), b"0.1"),
        (msgspec.json.encode, Private(), b'{"_a":1}'),
        (orjson.dumps, Private(), b"{}"),
        (ormsgpack.packb, Private(), b"\x80"),
    ],
)
def test_other_encoders_differ_as_the_page_says(
    encode: Callable[[Any], bytes], value: Any, expected: bytes | None
) -> None:
    assert outcome(encode, value) == expected
