"""`JsonCodec(keys="any")` and `JsonCodec(ascii=True)`."""

from __future__ import annotations

import datetime as dt
import enum
import json
import uuid
from typing import Any

import hypothesis.strategies as st
import orjson
import pydantic
import pytest
from hypothesis import given

import pybridge
from pybridge import EncodeError, JsonCodec, LimitExceeded, Limits, MsgpackCodec

from support.consumers import collect
from support.engines import EngineMaker

ANY = JsonCodec(keys="any")
ASCII = JsonCodec(ascii=True)


def encoded(value: Any, codec: Any) -> bytes:
    return bytes(pybridge.encode(value, codec))


class Colour(enum.Enum):
    RED = "red"
    ONE = 1
    DAY = dt.date(2024, 1, 2)
    NONE = None


class Level(enum.IntEnum):
    HIGH = 3


class Word(enum.StrEnum):
    HELLO = "hello"


class Loud(int):
    def fail(self) -> Any:
        raise RuntimeError("asked")

    __str__ = __repr__ = __index__ = __int__ = fail


class Text(str):
    __slots__ = ()


ZONE = dt.timezone(dt.timedelta(hours=-3, minutes=-30))

KEYS: list[Any] = [
    "a", "", "é\n", 0, -1, 2**63, -(2**63), 2**64 - 1, True, False, None, 0.0, -0.0, 1.5, 1e300, 1e16, 5e-324,
    float("nan"), float("inf"), uuid.UUID(int=2**127), dt.datetime(2024, 1, 2, 3, 4, 5, 6),  # noqa: DTZ001
    dt.datetime(2024, 1, 2, tzinfo=dt.UTC), dt.datetime(2024, 1, 2, tzinfo=ZONE), dt.date(1, 1, 1),
    dt.time(1, 2, 3, 4), *Colour, Level.HIGH, Word.HELLO, Text("text"),
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_text_of_a_key_is_that_of_orjson(key: Any) -> None:
    for value in ({key: 1}, [{"first": {key: {key: []}}, "x": object}], {"more": 1, key: 2}):
        ours = encoded(value, JsonCodec(keys="any", default=lambda _: 0))
        assert ours == orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS, default=lambda _: 0)


@pytest.mark.guarantee("V-06")
@given(
    st.dictionaries(
        st.text()
        | st.integers(-(2**63), 2**64 - 1)
        | st.floats()
        | st.uuids()
        | st.dates()
        | st.datetimes()
        | st.none(),
        st.integers(0, 9),
        max_size=6,
    )
)
def test_any_keys_are_those_of_orjson_unless_two_have_the_same_text(value: dict[Any, int]) -> None:
    expected = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    if len(orjson.loads(expected)) == len(value):
        assert encoded(value, ANY) == expected
    else:
        with pytest.raises(EncodeError, match="two keys have the text"):
            pybridge.encode(value, ANY)


@pytest.mark.guarantee("V-06")
@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({1: 0, "1": 0}, "two keys have the text \"1\", the second of type str: '1' (at $.a)"),
        ({"1": 0, 1: 0}, 'two keys have the text "1", the second of type int: 1 (at $.a)'),
        ({None: 0, float("nan"): 0}, 'two keys have the text "null", the second of type float: nan (at $.a)'),
        ({True: 0, "true": 0}, "two keys have the text \"true\", the second of type str: 'true' (at $.a)"),
        ({Colour.RED: 0, "red": 0}, "two keys have the text \"red\", the second of type str: 'red' (at $.a)"),
    ],
)
def test_two_keys_with_the_same_text_are_refused(value: dict[Any, int], said: str) -> None:
    for _ in range(2):
        with pytest.raises(EncodeError) as caught:
            pybridge.encode({"a": value}, ANY)
        assert str(caught.value) == said


def test_keys_without_a_text_of_their_own_and_integers_out_of_range_are_refused() -> None:
    for key in ((1,), b"k", frozenset(), 1j, object()):
        with pytest.raises(EncodeError, match=r"^key of type .*; keys are str, or int, .* \(at \$\[0\]\)$"):
            pybridge.encode([{key: 1}], ANY)
    with pytest.raises(EncodeError, match="int 18446744073709551616 is outside"):
        pybridge.encode({2**64: 1}, ANY)
    with pytest.raises(EncodeError, match="key of type int: 1"):
        pybridge.encode({1: 1}, JsonCodec())


def test_a_key_is_its_storage_and_no_method_of_it_is_called() -> None:
    assert encoded({Loud(7): {Loud(8): 1}}, ANY) == b'{"7":{"8":1}}'


def test_a_dict_that_changes_while_its_keys_become_text_is_refused() -> None:
    value: dict[Any, Any] = {}

    class Zone(dt.tzinfo):
        def utcoffset(self, _: dt.datetime | None) -> dt.timedelta:
            value.pop("other", None)
            return dt.timedelta(0)

        def tzname(self, _: dt.datetime | None) -> str:
            return "zone"

        def dst(self, _: dt.datetime | None) -> None:
            return None

    moment = dt.datetime(2024, 1, 1, tzinfo=Zone())
    for _ in range(2):
        value |= {moment: 1, "other": 2}
        with pytest.raises(EncodeError, match="container changed"):
            pybridge.encode(value, ANY)
        assert value == {moment: 1}


def test_a_time_of_a_class_of_its_own_is_the_key_that_it_is_as_a_value() -> None:
    class Fine(dt.datetime):
        nanosecond = 7

    class NoTime(dt.datetime):
        def __eq__(self, other: object) -> bool:
            return False

        __hash__ = dt.datetime.__hash__

    class Far(Fine):
        year = property(lambda _: -5)

    fine, none = Fine(2024, 1, 2), NoTime(2024, 1, 3)
    assert encoded({fine: fine, none: none}, ANY) == (
        b'{"2024-01-02T00:00:00.000000007":"2024-01-02T00:00:00.000000007","null":null}'
    )
    with pytest.raises(EncodeError, match=r"key of type .*Far"):
        pybridge.encode({Far(2024, 1, 2): 1}, ANY)


async def test_text_framing_of_an_engine_takes_the_keys_that_its_codec_takes(make_engine: EngineMaker) -> None:
    async def handler(_: object) -> Any:
        yield {1: "a"}

    engine = make_engine(handler, codec=MsgpackCodec(keys="any"))
    assert b"".join(await collect(engine.chunks(None, framing="ndjson"))) == b'{"1":"a"}\n'


TEXTS = [
    "", "plain", "é", "\x7f", "\x80", "\u0085 \u2028 \u2029", "日本語", "😀", "a\U0010ffff",
    "\ufeff", '\x00\x1f"\\/\b\f\n\r\t',
    "x" * 10_000 + "é", "é" * 10_000, "😀" * 5_000 + "x",
]  # fmt: skip


@pytest.mark.guarantee("V-25")
@pytest.mark.parametrize("text", TEXTS, ids=lambda text: ascii(text[:12]))
def test_ascii_is_that_of_the_standard_library(text: str) -> None:
    for value in (text, {text: [text, {"k": text}]}, [text, 1.5, None]):
        assert encoded(value, ASCII) == json.dumps(value, separators=(",", ":")).encode()
    assert pybridge.decode(encoded([text], ASCII), "json") == [text]


@given(st.recursive(st.text() | st.integers(0, 9), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_ascii_of_any_text_is_that_of_the_standard_library(value: Any) -> None:
    assert encoded(value, ASCII) == json.dumps(value, separators=(",", ":")).encode()


@pytest.mark.guarantee("V-25")
def test_ascii_holds_for_what_comes_from_enums_hooks_and_keys() -> None:
    codec = JsonCodec(ascii=True, keys="any", default=lambda _: "é")
    value = {1: object(), Text("ü"): Text("ö"), "n": [Colour.RED]}
    assert encoded(value, codec) == b'{"1":"\\u00e9","\\u00fc":"\\u00f6","n":["red"]}'


@pytest.mark.guarantee("V-25")
def test_ascii_holds_for_what_models_write_themselves() -> None:
    class Model(pydantic.BaseModel):
        text: str
        names: dict[str, str]

    model = Model(text="é\u2028😀", names={"ü": "plain"})
    plain = {"text": model.text, "names": model.names}
    for value, like in ((model, plain), (["ö", model, 1], ["ö", plain, 1])):
        assert encoded(value, ASCII) == json.dumps(like, separators=(",", ":")).encode()


@pytest.mark.guarantee("L-04")
def test_a_frame_of_escapes_is_as_long_as_its_limit_and_not_a_byte_longer() -> None:
    for size in (10, 100_000):
        text = "é" * size
        assert len(pybridge.encode(text, ASCII, Limits(max_frame_bytes=6 * size + 2))) == 6 * size + 2
        with pytest.raises(LimitExceeded) as caught:
            pybridge.encode(text, ASCII, Limits(max_frame_bytes=6 * size + 1))
        assert caught.value.limit == "max_frame_bytes"


@pytest.mark.guarantee("V-25")
@pytest.mark.parametrize("framing", ["sse", "ndjson", "length", "none"])
async def test_framed_items_hold_no_character_that_ends_a_line_elsewhere(
    make_engine: EngineMaker, framing: Any
) -> None:
    async def handler(_: object) -> Any:
        yield {"a": "\u2028\u2029\u0085"}
        yield "é"
        yield "plain"

    engine = make_engine(handler, codec=ASCII)
    whole = b"".join(await collect(engine.chunks(None, framing=framing)))
    items = [b'{"a":"\\u2028\\u2029\\u0085"}', b'"\\u00e9"', b'"plain"']
    frame = {
        "sse": lambda item: b"data: " + item + b"\n\n",
        "ndjson": lambda item: item + b"\n",
        "length": lambda item: len(item).to_bytes(4, "big") + item,
        "none": lambda item: item,
    }[framing]
    assert whole == b"".join(map(frame, items))
