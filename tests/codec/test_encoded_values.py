"""The value table, from Python to bytes."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import json
import math
import re
import uuid
import zoneinfo
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NoReturn

import attrs
import msgspec
import numpy as np
import orjson
import ormsgpack
import pydantic
import pytest

import pybridge
from pybridge import JsonCodec, LimitExceeded, Limits, MsgpackCodec

from support.encoding import Loud, refusal


def packed(value: object, codec: Any = "msgpack") -> bytes:
    return bytes(pybridge.encode(value, codec))


def unpacked(value: object, codec: Any = "msgpack") -> Any:
    return msgspec.msgpack.decode(packed(value, codec))


def text(value: object, codec: Any = "json") -> str:
    return bytes(pybridge.encode(value, codec)).decode()


class LoudStr(Loud, str):
    __slots__ = ()


class LoudInt(Loud, int): ...


class LoudFloat(Loud, float): ...


class LoudList(Loud, list[Any]): ...


class LoudTuple(Loud, tuple[Any, ...]):
    __slots__ = ()


class LoudDict(Loud, dict[str, Any]): ...


class LoudBytes(Loud, bytes): ...


class LoudTime(Loud, dt.datetime):
    isoformat = utcoffset = __format__ = Loud.fail


class Colour(enum.Enum):
    RED = "red"
    PAIR = (1, [2])
    NESTED = {"of": "red"}  # noqa: RUF012


class Level(enum.IntEnum):
    HIGH = 3


class Word(enum.StrEnum):
    HELLO = "hello"


class Bits(enum.Flag):
    A = 1
    B = 4


class Odd(int, enum.Enum):
    """A mixin whose value is not its storage."""

    ONE = 1

    def __init__(self, number: int) -> None:
        self._value_ = f"number {number}"  # type: ignore[assignment]


@dataclasses.dataclass
class Plain:
    a: int
    b: str = "x"
    shared: dataclasses.InitVar[int] = 1


@dataclasses.dataclass(slots=True, frozen=True)
class Slotted:
    a: int
    inner: Plain | None = None


class Struct(msgspec.Struct):
    a: int
    b: list[int]


class Tagged(msgspec.Struct, tag="kind", rename="camel"):
    first_name: str
    later: int | msgspec.UnsetType = msgspec.UNSET


@attrs.define
class Attrs:
    a: int
    _private: float = 0.5


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")

    a: int
    b: list[str] = ["x"]
    secret: str = pydantic.Field("hidden", exclude=True)

    def model_dump(self, **_: object) -> NoReturn:
        raise AssertionError("model_dump was called")


class Root(pydantic.RootModel[list[int]]): ...


@pydantic.dataclasses.dataclass
class Checked:
    a: int
    b: list[str]
    secret: str = pydantic.Field(default="hidden", exclude=True)


Point = collections.namedtuple("Point", "x y")  # noqa: PYI024

UTC = dt.UTC
TOKYO = zoneinfo.ZoneInfo("Asia/Tokyo")


def short(value: object) -> str:
    return type(value).__name__


@pytest.mark.guarantee("V-08", "V-11", "V-13")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (LoudStr("a"), "a"),
        (LoudInt(7), 7),
        (LoudFloat(0.5), 0.5),
        (LoudList([1, 2]), [1, 2]),
        (LoudTuple((1, 2)), [1, 2]),
        (LoudDict(a=1), {"a": 1}),
        ({LoudStr("k"): LoudDict(a=LoudInt(1))}, {"k": {"a": 1}}),
        (Point(1, 2), [1, 2]),
        (collections.OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (collections.defaultdict(list, a=[1]), {"a": [1]}),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (Colour.RED, "red"),
        (Colour.PAIR, [1, [2]]),
        (Colour.NESTED, {"of": "red"}),
        (Level.HIGH, 3),
        (Word.HELLO, "hello"),
        (Bits.A | Bits.B, 5),
        (Odd.ONE, "number 1"),
        (dt.datetime(2024, 2, 29, 1, 2, 3), "2024-02-29T01:02:03"),  # noqa: DTZ001
        (dt.datetime(2024, 2, 29, 1, 2, 3, 40, UTC), "2024-02-29T01:02:03.000040+00:00"),
        (dt.datetime(24, 1, 1, tzinfo=dt.timezone(-dt.timedelta(hours=3, minutes=30))),
         "0024-01-01T00:00:00-03:30"),
        (dt.datetime(2024, 7, 1, tzinfo=TOKYO), "2024-07-01T00:00:00+09:00"),
        (dt.datetime(2024, 7, 1, tzinfo=dt.timezone(dt.timedelta(seconds=-10))), "2024-07-01T00:00:00+00:00"),
        (dt.datetime(2024, 7, 1, tzinfo=dt.timezone(dt.timedelta(seconds=86_399))), "2024-07-01T00:00:00+23:59"),
        (LoudTime(2024, 7, 1, tzinfo=UTC), "2024-07-01T00:00:00+00:00"),
        (dt.date(999, 12, 31), "0999-12-31"),
        (dt.time(23, 59, 59, 999_999), "23:59:59.999999"),
        (dt.time(1, tzinfo=UTC), "01:00:00+00:00"),
        (dt.time(1, tzinfo=TOKYO), "01:00:00"),
        (uuid.UUID("12345678-9abc-def0-1234-56789abcdef0"), "12345678-9abc-def0-1234-56789abcdef0"),
        (uuid.UUID(int=0), "00000000-0000-0000-0000-000000000000"),
        (decimal.Decimal("1.500"), "1.500"),
        (decimal.Decimal("-1E+30"), "-1E+30"),
        (Plain(1), {"a": 1, "b": "x"}),
        (Slotted(1, Plain(2, "y")), {"a": 1, "inner": {"a": 2, "b": "y"}}),
        (Struct(1, [2]), {"a": 1, "b": [2]}),
        (Tagged("x"), {"type": "kind", "firstName": "x"}),
        (Tagged("x", 5), {"type": "kind", "firstName": "x", "later": 5}),
        (Attrs(1), {"a": 1, "_private": 0.5}),
        (Model.model_validate({"a": 1, "more": [2]}), {"a": 1, "b": ["x"], "more": [2]}),
        (Root([1, 2]), [1, 2]),
        (Checked(1, ["x"]), {"a": 1, "b": ["x"]}),
        (np.int8(-5), -5),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.float64(0.1), 0.1),
        (np.float32(0.5), 0.5),
        (np.float16(-0.25), -0.25),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.arange(3), [0, 1, 2]),
        (np.arange(6, dtype=np.int16).reshape(2, 3), [[0, 1, 2], [3, 4, 5]]),
        (np.arange(6).reshape(2, 3).T, [[0, 3], [1, 4], [2, 5]]),
        (np.arange(10)[::-3], [9, 6, 3, 0]),
        (np.arange(3, dtype=">i4"), [0, 1, 2]),
        (np.array([[1.5], [math.pi]]), [[1.5], [math.pi]]),
        (np.array([65504, 2**-4, 1, -0.5, 0], dtype=np.float16), [65504.0, 2**-4, 1.0, -0.5, 0.0]),
        (np.array([True, False]), [True, False]),
        (np.array(5), 5),
        (np.zeros((0, 3)), []),
        (np.zeros((2, 0)), [[], []]),
        ([np.arange(2), {"a": np.float64(1)}], [[0, 1], {"a": 1.0}]),
    ],
    ids=short,
)  # fmt: skip
def test_values_of_the_table_are_encoded_as_it_says(value: Any, expected: Any) -> None:
    """Overridden methods are not called, fields are read, nothing is asked twice."""
    assert unpacked(value) == expected
    assert type(unpacked(value)) is type(expected)
    assert json.loads(text(value)) == expected
    assert unpacked([value, {"x": value}]) == [expected, {"x": expected}]


@pytest.mark.guarantee("V-09")
def test_text_of_times_and_numbers_is_that_of_orjson_where_both_have_them() -> None:
    values: list[Any] = [
        dt.datetime(2024, 2, 29, 1, 2, 3, 4, UTC),
        dt.datetime(1, 1, 1, tzinfo=TOKYO),
        dt.datetime(1890, 1, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Amsterdam")),
        dt.date(2024, 2, 29),
        dt.time(1, 2, 3, 4),
        uuid.UUID(int=2**128 - 1),
        Plain(1),
        np.array([0.1, 1e-7, 3.4e38], dtype=np.float32),
        np.array([0.1, 1e300]),
        np.array([6e-8, 65504, 0.1], dtype=np.float16),
    ]
    for value in values:
        assert text(value).encode() == orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
        assert packed(value) == ormsgpack.packb(value, option=ormsgpack.OPT_SERIALIZE_NUMPY)


@pytest.mark.guarantee("V-03")
@pytest.mark.parametrize(
    ("value", "good"),
    [
        (-(2**63) + 1, True), (-(2**63), True), (-(2**63) - 1, False), (2**63, True), (2**64 - 1, True), (2**64, False),
        (10**400, False), (-(10**400), False), (LoudInt(2**64), False), (LoudInt(-(2**63)), True),
    ],
    ids=short,
)  # fmt: skip
def test_integers_outside_the_range_are_refused_with_their_path(value: int, good: bool) -> None:
    item = {"a": [0, 1, 2, value]}
    if good:
        assert packed(item) == msgspec.msgpack.encode({"a": [0, 1, 2, int.__add__(value, 0)]})
        assert json.loads(text(item)) == {"a": [0, 1, 2, int.__add__(value, 0)]}
        return
    for codec in ("msgpack", "json"):
        assert refusal(item, codec).path == "$.a[3]"


@pytest.mark.guarantee("V-04")
def test_nan_and_infinities_are_exact_in_msgpack_and_a_choice_in_json() -> None:
    for value in (math.nan, math.inf, -math.inf, 5e-324, -0.0):
        assert packed(value) == msgspec.msgpack.encode(value)
    for value in (math.nan, math.inf, -math.inf):
        assert refusal({"a": [value]}, "json").path == "$.a[0]"
        assert text({"a": [value]}, JsonCodec(nonfinite="null")) == '{"a":[null]}'
        assert refusal(np.array([value]), "json").path == "$[0]"
        assert text(np.array([value], dtype=np.float32), JsonCodec(nonfinite="null")) == "[null]"
    extremes = [5e-324, -0.0, 1.7976931348623157e308]
    assert text(extremes).encode() == orjson.dumps(extremes)


@pytest.mark.guarantee("V-07")
@pytest.mark.parametrize("where", [0, 1, 255, 256, 1000, 69_999])
@pytest.mark.parametrize("filler", ["é", "日", "😀"])
@pytest.mark.parametrize("codec", ["msgpack", "json", "raw"])
def test_surrogates_are_refused_wherever_they_stand(where: int, filler: str, codec: Any) -> None:
    broken = filler * where + "\ud800" + filler * (70_000 - where)
    assert "U+D800" in str(refusal(broken, codec))
    if codec != "raw":
        assert refusal({"a": [broken]}, codec).path == "$.a[0]"
        assert "U+DFFF" in str(refusal({"\udfff": 1}, codec))
    assert pybridge.encode("a\x00b", codec)


@pytest.mark.guarantee("V-05")
def test_bytes_stay_bytes_in_msgpack_and_are_a_choice_in_json() -> None:
    source = bytes(range(256)) * 300
    grid = memoryview(bytes(range(24))).cast("B", (2, 3, 4))
    for value in (
        b"", source[:255], source[:256], source, bytearray(source), memoryview(source), memoryview(source)[::2],
        memoryview(source)[::-1], memoryview(bytearray(10)), grid, np.arange(6).reshape(2, 3).T.data,
        LoudBytes(b"a"), np.array(5).data, memoryview(b"abcdefgh").cast("q", []),
    ):  # fmt: skip
        raw = value.tobytes() if isinstance(value, memoryview) else bytes.__add__(b"", value)
        assert packed(value) == msgspec.msgpack.encode(raw)
        assert ormsgpack.unpackb(packed([value])) == [raw]
        assert bytes(pybridge.encode(value, "raw")) == raw
        assert "base64" in str(refusal([value], "json"))
        assert text({"a": value}, JsonCodec(bytes="base64")).encode() == msgspec.json.encode({"a": raw})
    released = memoryview(b"abc")
    released.release()
    assert refusal([released]).path == "$[0]"


@pytest.mark.guarantee("V-06")
def test_keys_are_text_unless_the_codec_takes_more() -> None:
    for key in (1, b"k", None, 1.5, True, (1,)):
        for codec in ("msgpack", "json"):
            assert "key of type" in str(refusal({"a": [{key: 1}]}, codec))
            assert refusal({"a": [{key: 1}]}, codec).path == "$.a[0]"
    any_keys = MsgpackCodec(keys="any")
    value: Any = {"a": 1, 2: b"x", -(2**63): 1, 2**64 - 1: 1, b"\xff": {5: 6}}
    assert packed(value, any_keys) == ormsgpack.packb(value, option=ormsgpack.OPT_NON_STR_KEYS)
    for wrong in (True, None, 1.5, np.int64(1)):
        assert re.search("key of type .*; keys are str, int and bytes ", str(refusal({wrong: 1}, any_keys)))
    assert refusal({2**64: 1}, any_keys).path
    assert packed({Word.HELLO: 1}) == msgspec.msgpack.encode({"hello": 1})


@pytest.mark.guarantee("V-15")
def test_what_is_not_in_the_table_is_named_with_its_path() -> None:
    cases: list[Any] = [
        object(), {}.keys(), 1j, range(3), iter([]), print, type, Plain, SimpleNamespace(a=1), np.array(["a"]),
        np.array([object()]), np.complex64(1), np.array([1j]), np.ma.masked_array([1]), np.void(b"ab"),
    ]  # fmt: skip
    for value in cases:
        for codec in ("msgpack", "json"):
            error = refusal({"a": [1, value]}, codec)
            assert error.path == "$.a[1]"
            assert type(value).__qualname__ in str(error)
            assert "; give the codec default= to convert it (at $" in str(error)
            if type(value) is np.ndarray:
                assert f"numpy.ndarray of dtype {value.dtype};" in str(error)


@pytest.mark.guarantee("V-14")
def test_the_hook_is_asked_for_exactly_what_the_table_does_not_have() -> None:
    asked: list[Any] = []

    def hook(value: Any) -> Any:
        asked.append(value)
        return sorted(value) if isinstance(value, range) else {"type": type(value).__name__}

    for codec in (MsgpackCodec(default=hook), JsonCodec(default=hook)):
        asked.clear()
        value = [1, range(3, 0, -2), {"x": 2j}, LoudStr("a"), Plain(1), Colour.RED, np.arange(2), np.array(["a"])]
        expected = [1, [1, 3], {"x": {"type": "complex"}}, "a", {"a": 1, "b": "x"}, "red", [0, 1], {"type": "ndarray"}]
        encoded = pybridge.encode(value, codec)
        assert encoded.decode() == expected
        assert [type(item).__name__ for item in asked] == ["range", "complex", "ndarray"]


@pytest.mark.guarantee("V-14")
@pytest.mark.parametrize("make", [MsgpackCodec, JsonCodec])
def test_a_hook_is_asked_thirty_two_nested_times_and_not_once_more(make: Callable[..., Any]) -> None:
    class Onion:
        def __init__(self, layers: int) -> None:
            self.layers = layers

    def peel(onion: Onion) -> Any:
        return "core" if onion.layers == 1 else Onion(onion.layers - 1)

    def wrap(onion: Onion) -> Any:
        return "core" if onion.layers == 1 else [Onion(onion.layers - 1)]

    for hook in (peel, wrap):
        assert pybridge.encode([Onion(32), Onion(32)], make(default=hook))
        error = refusal([0, Onion(33)], make(default=hook))
        assert "32 nested" in str(error)
        assert error.path.startswith("$[1]")


def test_an_exception_of_the_hook_is_the_cause_and_the_path_is_where_it_was_asked() -> None:
    failure = KeyError("inner")

    def hook(_: object) -> NoReturn:
        raise failure

    error = refusal({"a": (1, object())}, MsgpackCodec(default=hook))
    assert error.path == "$.a[1]"
    assert error.__cause__ is failure


@pytest.mark.guarantee("V-11")
def test_a_field_without_a_value_is_named() -> None:
    broken = Plain(1)
    del broken.a
    assert refusal([broken]).path == "$[0].a"
    assert refusal([object.__new__(Slotted)]).path == "$[0].a"

    @dataclasses.dataclass
    class Raising:
        a: int = 0

        @property
        def b(self) -> int:
            raise ZeroDivisionError

    Raising.__dataclass_fields__["b"] = dataclasses.field()
    Raising.__dataclass_fields__["b"]._field_type = Raising.__dataclass_fields__["a"]._field_type  # type: ignore[attr-defined]
    error = refusal([Raising()])
    assert error.path == "$[0].b"
    assert isinstance(error.__cause__, ZeroDivisionError)


def test_a_class_that_changes_after_it_was_seen_is_looked_at_again() -> None:
    class Box:
        pass

    assert "Box" in str(refusal(Box()))
    box = Box()
    box.a = 1  # type: ignore[attr-defined]
    Box.__annotations__ = {"a": int}
    dataclasses.dataclass(Box)
    assert unpacked(box) == {"a": 1}
    Box.__dataclass_fields__ = {}  # type: ignore[attr-defined]
    assert unpacked(box) == {}


def test_types_that_come_and_go_are_never_mistaken_for_one_another() -> None:
    """The lookup is by address, and addresses are used again."""
    for number in range(3000):
        if number % 3 == 0:
            value: Any = dataclasses.make_dataclass("D", [(f"f{number}", int)])(number)
            assert unpacked(value) == {f"f{number}": number}
        elif number % 3 == 1:
            assert unpacked(enum.Enum("E", {"A": number})["A"]) == number  # type: ignore[index]
        else:
            assert "cannot encode" in str(refusal(type("T", (), {})()))


def test_frame_is_found_where_the_bytes_it_is_equal_to_are() -> None:
    frame = pybridge.encode(b"abc", codec="raw")
    assert frame == b"abc"
    assert {b"abc": 1}[frame] == 1  # type: ignore[index]


@pytest.mark.parametrize("codec", ["msgpack", "json", JsonCodec(bytes="base64")])
def test_frame_is_decoded_by_its_own_codec_and_limits_unless_told(codec: Any) -> None:
    value = [1, "é", {"a": None}]
    large = Limits(max_frame_bytes="32MiB")
    assert pybridge.decode(pybridge.encode(value, codec)) == value
    assert len(pybridge.decode(pybridge.encode("x" * (20 << 20), codec, large))) == 20 << 20
    with pytest.raises(LimitExceeded, match="max_nodes"):
        pybridge.decode(pybridge.encode(value, codec), limits=Limits(max_nodes=2))
    assert pybridge.decode(pybridge.encode(1, "json"), "msgpack") == ord("1")
