"""Sets, times, durations, paths and addresses: what stands for them, and what is no value at all."""

from __future__ import annotations

import collections
import datetime as dt
import enum
import ipaddress
import pathlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import msgpack  # type: ignore[import-untyped]
import msgspec
import numpy as np
import orjson
import ormsgpack
import pytest

import pybridge
from pybridge import JsonCodec, LimitExceeded, Limits, MsgpackCodec

from support.encoding import Loud, refusal

CODECS = pytest.mark.parametrize("make", [MsgpackCodec, JsonCodec])
TOKYO = dt.timezone(dt.timedelta(hours=9))


def encoded(value: object) -> Any:
    """What both formats have for a value."""
    packed = msgspec.msgpack.decode(bytes(pybridge.encode([value, {"a": value}])))
    text = msgspec.json.decode(bytes(pybridge.encode([value, {"a": value}], "json")))
    assert packed == text == [packed[0], {"a": packed[0]}]
    return packed[0]


class LoudSet(Loud, set[int]): ...


class LoudFrozenSet(Loud, frozenset[int]): ...


class LoudDeque(Loud, collections.deque[int]): ...


class LoudDelta(Loud, dt.timedelta): ...


class LoudPath(Loud, pathlib.PurePosixPath): ...


@pytest.mark.guarantee("V-10")
@pytest.mark.parametrize(
    "value",
    [
        set(), {1}, {"a", "b", "c"}, frozenset(), frozenset({1, None, "x"}), {(1, (2,)), frozenset({3})},
        collections.deque(), collections.deque([1, [2], {"a": {3}}], maxlen=3), set(range(70_000)),
        LoudSet({1, 2}), LoudFrozenSet({1, 2}), LoudDeque([1, 2]),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_sets_and_deques_are_arrays(value: Any) -> None:
    base: Any = set if isinstance(value, set) else frozenset if isinstance(value, frozenset) else collections.deque
    items = list(base.__iter__(value))
    assert bytes(pybridge.encode(value)) == msgspec.msgpack.encode(items, enc_hook=list)
    assert bytes(pybridge.encode([value], "json")) == msgspec.json.encode([items], enc_hook=list)


@CODECS
def test_what_cannot_be_encoded_in_a_set_has_its_place(make: Callable[..., Any]) -> None:
    error = refusal({"a": collections.deque([1, 2, object()])}, make())
    assert error.path == "$.a[2]"
    assert refusal([{1j}], make()).path == "$[0][0]"
    with pytest.raises(LimitExceeded, match="max_depth"):
        pybridge.encode([{frozenset()}], make(), Limits(max_depth=2))
    assert pybridge.encode([{frozenset()}], make(), Limits(max_depth=3)).decode() == [[[]]]
    with pytest.raises(LimitExceeded, match="max_nodes"):
        pybridge.encode(set(range(10)), make(), Limits(max_nodes=10))
    assert pybridge.encode(set(range(9)), make(), Limits(max_nodes=10))


@pytest.mark.guarantee("V-16")
@CODECS
@pytest.mark.parametrize("base", [set, collections.deque])
def test_a_set_or_deque_that_a_hook_changes_is_an_error(make: Callable[..., Any], base: Any) -> None:
    box = base([1j])

    def change(_: object) -> int:
        box.clear()
        return 1

    for value in (box, {"a": [box]}):
        box.clear()
        box.update([1j]) if isinstance(box, set) else box.append(1j)
        assert "container changed" in str(refusal(value, make(default=change)))
    assert pybridge.encode([base([1j, 2])], make(default=lambda _: 2)).decode() == [[2, 2]]


DELTAS = [
    dt.timedelta(0), dt.timedelta(1), dt.timedelta(weeks=60), dt.timedelta(hours=3), dt.timedelta(seconds=5),
    dt.timedelta(1, 3723, 500_000), dt.timedelta(microseconds=1), dt.timedelta(milliseconds=10),
]  # fmt: skip


@pytest.mark.guarantee("V-09")
@pytest.mark.parametrize("delta", [*DELTAS, *(-delta for delta in DELTAS), dt.timedelta.min, dt.timedelta.max])
def test_a_timedelta_is_the_text_that_msgspec_writes(delta: dt.timedelta) -> None:
    assert bytes(pybridge.encode(delta)) == msgspec.msgpack.encode(delta)
    assert bytes(pybridge.encode(delta, "json")) == msgspec.json.encode(delta)
    assert msgspec.convert(encoded(delta), dt.timedelta) == delta


@pytest.mark.guarantee("V-09")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (LoudDelta(1, 2, 3), "P1DT2.000003S"),
        (pathlib.PurePosixPath("/a/é b"), "/a/é b"),
        (pathlib.PureWindowsPath("C:\\a"), "C:\\a"),
        (pathlib.Path("a/../b"), "a/../b"),
        (LoudPath("a/b"), "a/b"),
        (ipaddress.ip_address("10.0.0.1"), "10.0.0.1"),
        (ipaddress.ip_address("2001:DB8::0:1"), "2001:db8::1"),
        (ipaddress.ip_network("10.0.0.0/8"), "10.0.0.0/8"),
        (ipaddress.ip_network("2001:db8::/32"), "2001:db8::/32"),
        (ipaddress.ip_interface("10.0.0.1/8"), "10.0.0.1/8"),
        (ipaddress.ip_interface("2001:db8::1/32"), "2001:db8::1/32"),
        (np.datetime64("2024"), "2024"),
        (np.datetime64("2024-02"), "2024-02"),
        (np.datetime64("2024-02-29"), "2024-02-29"),
        (np.datetime64("2024-02-29T12"), "2024-02-29T12:00:00"),
        (np.datetime64("2024-02-29T12:30"), "2024-02-29T12:30:00"),
        (np.datetime64("2024-02-29T12:30:01"), "2024-02-29T12:30:01"),
        (np.datetime64("2024-02-29T12:30:01.5"), "2024-02-29T12:30:01.500000"),
        (np.datetime64("2024-02-29T12:30:01.000001"), "2024-02-29T12:30:01.000001"),
        (np.datetime64("2024-02-29T12:30:01.000000000"), "2024-02-29T12:30:01"),
        (np.datetime64("2024-02-29T12:30:01.000000001"), "2024-02-29T12:30:01.000000001"),
        (np.datetime64("1970-01-01T00:00:05.902760981229007694"), "1970-01-01T00:00:05.902760981229007694"),
        (np.datetime64("12024-01-01T00:00:00"), "12024-01-01T00:00:00"),
        (np.timedelta64(3, "Y"), "P3Y"),
        (np.timedelta64(-3, "M"), "-P3M"),
        (np.timedelta64(2, "W"), "P14D"),
        (np.timedelta64(0, "D"), "P0D"),
        (np.timedelta64(-36, "h"), "-P1DT43200S"),
        (np.timedelta64(2, "m"), "PT120S"),
        (np.timedelta64(5, "s"), "PT5S"),
        (np.array(2, dtype="m8[25s]"), "PT50S"),
        (np.timedelta64(1500, "ms"), "PT1.5S"),
        (np.timedelta64(-1, "us"), "-PT0.000001S"),
        (np.timedelta64(86_400 * 10**9 + 1, "ns"), "P1DT0.000000001S"),
        (np.timedelta64(1, "ps"), "PT0.000000000001S"),
        (np.timedelta64(1, "fs"), "PT0.000000000000001S"),
        (np.timedelta64(-(2**63) + 1, "as"), "-PT9.223372036854775807S"),
        (np.timedelta64(2**63 - 1, "W"), f"P{7 * (2**63 - 1)}D"),
        (np.datetime64("NaT", "ns"), None),
        (np.timedelta64("NaT", "s"), None),
        (np.array(["2024-01-01", "NaT"], dtype="M8[D]"), ["2024-01-01", None]),
        (np.array([[1, 2], [3, 4]], dtype="m8[s]"), [["PT1S", "PT2S"], ["PT3S", "PT4S"]]),
        (np.array([1, 2, 3, 4], dtype=">m8[s]")[::-3], ["PT4S", "PT1S"]),
        (np.array(5, dtype="m8[s]"), "PT5S"),
        (np.zeros((0, 2), dtype="M8[s]"), []),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_standard_forms_are_text(value: Any, expected: Any) -> None:
    assert encoded(value) == expected


@pytest.mark.guarantee("V-13")
def test_times_of_numpy_are_the_text_of_orjson_and_ormsgpack_where_they_are_times_of_microseconds() -> None:
    for unit in ("h", "m", "s", "ms", "us"):
        for text in ("1970-01-01T00", "2024-02-29T12", "0999-12-31T23", "2262-04-11T11"):
            for step in (0, 1, 59, 999):
                moment = np.datetime64(text).astype(f"M8[{unit}]") + np.timedelta64(step, unit)
                option = orjson.OPT_SERIALIZE_NUMPY
                assert bytes(pybridge.encode(moment, "json")) == orjson.dumps(moment, option=option)
                packed = ormsgpack.packb(moment, option=ormsgpack.OPT_SERIALIZE_NUMPY)
                assert bytes(pybridge.encode(moment)) == packed


@CODECS
def test_a_path_that_is_no_text_is_refused(make: Callable[..., Any]) -> None:
    assert "U+DCFF" in str(refusal([pathlib.PurePosixPath("a\udcff")], make()))


@CODECS
def test_a_duration_without_a_unit_is_for_the_hook(make: Callable[..., Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        delta = np.timedelta64(5)
    assert "cannot encode numpy.timedelta64" in str(refusal([delta], make()))
    assert pybridge.encode([delta], make(default=lambda _: 5)).decode() == [5]


@pytest.mark.guarantee("V-14")
@CODECS
def test_extension_types_are_for_the_hook(make: Callable[..., Any]) -> None:
    class Mine(msgpack.ExtType): ...  # type: ignore[misc]

    values = [msgpack.ExtType(1, b"x"), Mine(1, b"x"), msgpack.Timestamp(1, 2), ormsgpack.Ext(1, b"x")]
    values.append(msgspec.msgpack.Ext(1, b"x"))
    for value in values:
        error = refusal({"a": [value]}, make())
        assert error.path == "$.a[0]"
        assert f"cannot encode {type(value).__module__}" in str(error)
        assert pybridge.encode([value], make(default=lambda value: type(value).__name__)).decode() == [
            type(value).__name__
        ]


@pytest.mark.guarantee("V-09")
@CODECS
def test_what_is_not_equal_to_itself_among_dates_is_null(make: Callable[..., Any]) -> None:
    class Never(dt.datetime):
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            return False

    class NeverDate(dt.date):
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            return False

    class Always(dt.datetime):
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            return True

    class Raising(dt.datetime):
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            raise ZeroDivisionError

    value = [Never(2024, 1, 1), NeverDate(2024, 1, 1), Always(2024, 1, 1, tzinfo=TOKYO)]
    assert pybridge.encode(value, make()).decode() == [None, None, "2024-01-01T00:00:00+09:00"]
    error = refusal([Raising(2024, 1, 1)], make())
    assert (error.path, type(error.__cause__)) == ("$[0]", ZeroDivisionError)


@CODECS
def test_an_enum_of_these_is_its_value(make: Callable[..., Any]) -> None:
    class Span(enum.Enum):
        DAY = dt.timedelta(1)
        SOME = frozenset({1})

    assert pybridge.encode(list(Span), make()).decode() == ["P1D", [1]]


class Nanoseconds(dt.datetime):
    """Counts all nanoseconds of its second, as some libraries do."""

    @property
    def nanosecond(self) -> int:
        return self.microsecond * 1000 + 7


class Method(dt.datetime):
    def nanosecond(self) -> NoReturn:
        raise AssertionError("a method was called")


def test_nanoseconds_of_a_time_are_written_where_there_are_any() -> None:
    assert encoded(Nanoseconds(2024, 1, 1)) == "2024-01-01T00:00:00.000000007"
    assert encoded(Nanoseconds(2024, 1, 1, microsecond=12, tzinfo=TOKYO)) == "2024-01-01T00:00:00.000012007+09:00"
    assert encoded(Method(2024, 1, 1)) == "2024-01-01T00:00:00"


@pytest.fixture(scope="module")
def pd() -> Any:
    return pytest.importorskip("pandas")


def pandas_values(pd: Any) -> Iterator[tuple[Any, Any]]:
    for text in ("2024-02-29T12:30:01", "2024-02-29T12:30:01.000123", "2024-02-29T12:30:01.123456789"):
        for zone in (None, "UTC", "Asia/Tokyo"):
            moment = pd.Timestamp(text, tz=zone)
            yield moment, moment.isoformat()
    yield pd.Timestamp("2024-02-29T12:30:01.000000001"), "2024-02-29T12:30:01.000000001"
    yield pd.NaT, None
    yield pd.Timedelta(1, "D"), "P1D"
    yield pd.Timedelta(-1, "ns"), "-PT0.000000001S"
    yield pd.Timedelta(86_400 * 10**9 + 1001, "ns"), "P1DT0.000001001S"
    yield pd.Timedelta(np.timedelta64(10**14, "s")), "P1157407407DT35200S"
    yield list(pd.Series(pd.to_datetime(["2024-01-01", None]))), ["2024-01-01T00:00:00", None]


def test_times_of_pandas_lose_nothing(pd: Any) -> None:
    for value, expected in pandas_values(pd):
        assert encoded(value) == expected


@CODECS
def test_a_timestamp_of_a_year_that_the_standard_does_not_have_is_refused(make: Callable[..., Any], pd: Any) -> None:
    for text in ("12024-01-01", "0000-01-01"):
        moment = pd.Timestamp(np.datetime64(text, "s"))
        assert refusal([moment], make()).path == "$[0]"
        assert pybridge.encode([moment], make(default=str)).decode() == [str(moment)]


def test_a_codec_for_what_the_table_does_not_have_is_asked_for_nothing_else() -> None:
    asked: list[object] = []

    def hook(value: object) -> str:
        asked.append(value)
        return "hook"

    value = [{1}, collections.deque([2]), dt.timedelta(1), pathlib.PurePosixPath("a"), np.datetime64("2024"), 1j]
    assert pybridge.encode(value, JsonCodec(default=hook)).decode() == [[1], [2], "P1D", "a", "2024", "hook"]
    assert asked == [1j]
