"""Bytes from a peer that means harm: a typed error with its offset, in bounded time and memory, and nothing else."""

from __future__ import annotations

import functools
import itertools
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import pybridge
from pybridge import DecodeError, JsonCodec, LimitExceeded, Limits, MsgpackCodec

from support import skips
from support.consumers import collect
from support.engines import EngineMaker
from support.processes import PythonRunner

Codec = Any
CODECS = ("msgpack", "json")
ANY_KEYS = MsgpackCodec(keys="any")
STRICT = Limits(duplicate_keys="error")

measured = skips.where("peaks are read from /proc")

MEASURE = """
import re, struct, sys, threading, time
import pybridge
from pybridge import DecodeError, LimitExceeded, Limits

def status(name):
    with open("/proc/self/status") as file:
        return int(re.search(name + r":\\s+(\\d+)", file.read()).group(1)) << 10

def refused(data, codec="msgpack", limits=None):
    "What the decoder raises, the seconds it took, and the memory it had at most."
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    before, start = status("VmRSS"), time.thread_time()
    try:
        pybridge.decode(data, codec, limits)
    except (DecodeError, LimitExceeded) as caught:
        seconds, error = time.thread_time() - start, caught.with_traceback(None)
    else:
        raise SystemExit(f"accepted {data[:20]!r}")
    return error, seconds, status("VmHWM") - before
"""


def refused(data: bytes, codec: Codec = "msgpack", limits: Limits | None = None) -> DecodeError | LimitExceeded:
    with pytest.raises((DecodeError, LimitExceeded)) as caught:
        pybridge.decode(data, codec, limits)
    assert isinstance(caught.value, DecodeError | LimitExceeded)
    return caught.value


def offset(data: bytes, codec: Codec = "msgpack", limits: Limits | None = None) -> int:
    error = refused(data, codec, limits)
    assert isinstance(error, DecodeError)
    return error.offset


@pytest.mark.guarantee("L-01")
@measured
def test_nesting_bombs_are_refused_on_a_small_stack(run_python: PythonRunner) -> None:
    run_python(
        MEASURE
        + """
NESTS = {
    "array": ("msgpack", lambda n: b"\\x91" * (n - 1) + b"\\x90"),
    "map value": ("msgpack", lambda n: b"\\x81\\xa1k" * (n - 1) + b"\\x80"),
    "JSON array": ("json", lambda n: b"[" * n + b"]" * n),
    "JSON object": ("json", lambda n: b'{"k":' * (n - 1) + b"{}" + b"}" * (n - 1)),
    "JSON mixed": ("json", lambda n: b'[{"k":' * (n // 2) + b"[]" * (n % 2) + b"0" * (1 - n % 2) + b"}]" * (n // 2)),
}
WRONG = {"map key": b"\\x81", "array as key": b"\\x81\\x91", "ext": b"\\xc7\\xff\\x01", "JSON, never closed": b"["}

def run():
    for codec, make in NESTS.values():
        for depth in (127, 128):
            value, found = pybridge.decode(make(depth), codec), 0
            while isinstance(value, (list, dict)):
                found += 1
                value = next(iter(value.values() if isinstance(value, dict) else value), None)
            assert found == depth, (found, depth)
        for depth in (129, 1_000_000):
            error, seconds, memory = refused(make(depth), codec)
            assert error.limit == "max_depth", error
            assert seconds < 1 and memory < 1 << 20, (depth, seconds, memory)
    for name, unit in WRONG.items():
        for depth in (127, 128, 129, 1_000_000):
            _, seconds, memory = refused(unit * depth, "json" if unit == b"[" else "msgpack")
            assert seconds < 1 and memory < 1 << 20, (name, depth, seconds, memory)

pybridge.decode(b"\\x90"), pybridge.decode(b"[]", "json")
threading.stack_size(256 << 10)
thread = threading.Thread(target=run)
thread.start()
thread.join()
""",
        options=("-W", "error"),
    )


@pytest.mark.guarantee("L-05")
@measured
def test_announced_lengths_reserve_nothing(run_python: PythonRunner) -> None:
    run_python(
        MEASURE
        + """
headers = [bytes([marker]) + length for marker in (0xC6, 0xC9, 0xDB, 0xDD, 0xDF)
           for length in (b"\\xff\\xff\\xff\\xff", b"\\x80\\0\\0\\0", b"\\x7f\\xff\\xff\\xff", b"\\0\\x10\\0\\0")]
refused(headers[0])
for header in headers:
    for count in range(17):
        for tail in (b"\\0" * count, b"\\x91" * count, header * 3):
            error, seconds, memory = refused(header + tail)
            assert memory < 1 << 20 and seconds < 1, (header, tail, memory, seconds)
""",
        options=("-W", "error"),
    )


@pytest.mark.guarantee("L-05")
@measured
def test_chained_lengths_share_one_budget(run_python: PythonRunner) -> None:
    run_python(
        MEASURE
        + """
deep = Limits(max_depth=384)
many = Limits(max_depth=384, max_nodes=2**30)
refused(b"\\xdc\\xff\\xff")
for limits, expected in ((None, "max_nodes"), (deep, "max_nodes"), (many, "max_expansion")):
    for unit in (b"\\xdc\\xff\\xff", b"\\xdd\\0\\0\\xff\\xff", b"\\xde\\x7f\\xff\\xa0"):
        bomb = unit * 24_000
        error, seconds, memory = refused(bomb, limits=limits)
        assert getattr(error, "limit", None) == expected, error
        assert memory < 4 * len(bomb) and seconds < 1, (memory, seconds)
""",
        options=("-W", "error"),
    )


@pytest.mark.guarantee("L-03")
@measured
def test_a_message_of_tiny_containers_stays_within_the_budget(run_python: PythonRunner) -> None:
    run_python(
        MEASURE
        + """
def size(count):
    return b"\\xdd" + struct.pack(">I", count)

refused(b"\\x80\\x80")
bombs = [
    ("msgpack", b"\\x80" * 5_000_000),
    ("msgpack", size(5_000_000) + b"\\x80" * 5_000_000),
    # The announced count is within the limit of values, the maps inside are not.
    ("msgpack", size(900_000) + (b"\\x95" + b"\\x80" * 5) * 900_000),
    ("json", b"[" + b"{}," * 1_666_666 + b"{}]"),
]
for codec, bomb in bombs:
    error, seconds, memory = refused(bomb, codec)
    assert memory < 64 << 20, (bomb[:10], memory, error)
    assert bomb[1:2] == b"\\x80" or error.limit in ("max_nodes", "max_expansion"), error
""",
        options=("-W", "error"),
    )


@pytest.mark.guarantee("L-06")
@measured
def test_objects_are_counted_before_they_are_made(run_python: PythonRunner) -> None:
    """The limit of decoded bytes is what the interpreter's objects cost."""
    run_python(
        MEASURE
        + """
import tracemalloc
small = Limits(max_decoded_bytes=1 << 20)
values = {
    "floats": [0.5] * 200_000, "numbers": list(range(2**40, 2**40 + 100_000)), "maps": [{"a": 1}] * 50_000,
    "distinct keys": {f"key {n}": n for n in range(50_000)}, "wide text": ["é日😀"] * 50_000, "lists": [[[]]] * 50_000,
    "long text": ["x" * 2_000_000], "wide long text": ["日" * 700_000],
    "maps of parts": [{str(n): n for n in range(700)}] * 20,
}
for name, value in values.items():
    for codec in ("msgpack", "json"):
        data = bytes(pybridge.encode(value, codec))
        tracemalloc.start()
        error, _, _ = refused(data, codec, small)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert error.limit == "max_decoded_bytes", error
        assert peak < 1.3 * (1 << 20), (name, codec, peak)
""",
        options=("-W", "error"),
    )


def seconds(run: Callable[[], object]) -> float:
    start = time.thread_time()
    run()
    return time.thread_time() - start


def grows_linearly(make: Callable[[int], bytes], size: int, decode: Callable[[bytes], object], most: float) -> bool:
    """True if twice the input takes at most `most` times the time, the best of a few looks at both."""
    once, twice = make(size), make(2 * size)
    best = [float("inf"), float("inf")]
    for _ in range(30):
        best = [min(best[0], seconds(lambda: decode(once))), min(best[1], seconds(lambda: decode(twice)))]
        if best[1] <= most * best[0]:
            return True
    return False


@pytest.mark.guarantee("L-07")
@pytest.mark.parametrize(
    "make",
    [
        lambda size: b"7" * size,
        lambda size: b"-" + b"9" * size,
        lambda size: b"0." + b"3" * size,
        lambda size: b"0." + b"0" * size + b"1",
        lambda size: b"1" + b"0" * size + b"e-" + str(size).encode(),
        lambda size: b"1e" + b"0" * size + b"5",
        lambda size: b"1e-" + b"9" * size,
    ],
    ids=["integer", "negative", "fraction", "zeros before", "long and small", "exponent", "exponent of nines"],
)
def test_numbers_of_many_digits_take_time_in_proportion(make: Callable[[int], bytes]) -> None:
    def decode(data: bytes) -> object:
        try:
            return pybridge.decode(data, "json")
        except DecodeError:
            return None

    assert seconds(lambda: decode(make(10_000_000))) < 1
    assert grows_linearly(make, 1_000_000, decode, 3)


@pytest.mark.guarantee("V-03")
def test_integer_text_is_read_as_64_bits_or_not_at_all() -> None:
    for digits in (20, 100, 4_300, 4_301, 1_000_000):
        assert offset(b'{"a":' + b"9" * digits + b"}", "json") == 5


def int_keys(count: int, step: int) -> bytes:
    pairs = b"".join(b"\xcf" + struct.pack(">Q", (key * step) % 2**64) + b"\xc0" for key in range(count))
    return b"\xdf" + struct.pack(">I", count) + pairs


def text_keys(count: int) -> bytes:
    pairs = b"".join(b"\xa7%07d\xc0" % key for key in range(count))
    return b"\xdf" + struct.pack(">I", count) + pairs


@pytest.mark.guarantee("L-07")
def test_keys_that_share_a_place_cost_about_as_much_as_others() -> None:
    """Integers whose hashes agree in their low bits; text, whose hash a peer cannot know."""
    ordinary = int_keys(50_000, 1)
    usual = min(seconds(lambda: pybridge.decode(ordinary, ANY_KEYS)) for _ in range(3))
    for step in (1 << 20, 1 << 32, 1 << 44, 2**61 - 1):
        shared = int_keys(50_000, step)
        assert min(seconds(functools.partial(pybridge.decode, shared, ANY_KEYS)) for _ in range(3)) < 20 * usual
    for rules in (Limits(), STRICT):
        assert grows_linearly(text_keys, 20_000, functools.partial(pybridge.decode, limits=rules), 3)
    million = text_keys(1_000_000)
    assert seconds(lambda: refused(million)) < 1


def text_head(length: int) -> bytes:
    return b"\xdb" + struct.pack(">I", length)


def verdict(text: bytes) -> str | int:
    """The text, or where it stops being UTF-8, by the interpreter's own decoder."""
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        return error.start


def ours(data: bytes, codec: Codec, start: int) -> str | int:
    try:
        value = pybridge.decode(data, codec)
    except DecodeError as error:
        return error.offset - start
    assert isinstance(value, str)
    return value


def utf8_corpus() -> Iterator[bytes]:
    """Every one and two bytes; longer ones around every border of the encoding."""
    edges = (0x00, 0x22, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xED, 0xF4, 0xFF)
    yield from (bytes([byte]) for byte in range(256))
    yield from map(bytes, itertools.product(range(0x80, 256), range(256)))
    yield from map(bytes, itertools.product(range(0xDF, 0xF1), edges, edges))
    yield from map(bytes, itertools.product(range(0xEF, 0xFF), edges[4:], edges[3:], edges[3:11]))
    for point in (0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFD, 0xFFFE, 0xFFFF, 0x10000, 0x1F600, 0x10FFFF):
        yield chr(point).encode()


@pytest.mark.guarantee("V-07")
def test_text_is_utf8_by_the_letter() -> None:
    for text in utf8_corpus():
        expected = verdict(text)
        assert ours(text_head(len(text)) + text, "msgpack", 5) == expected, text
        if not any(byte < 0x20 or byte in b'"\\' for byte in text):
            assert ours(b'"' + text + b'"', "json", 1) == expected, text


@pytest.mark.guarantee("V-07")
@pytest.mark.parametrize("before", [b"", b"x" * 7, b"x" * 300, "é".encode(), "日".encode() * 11, "😀a".encode() * 70])
@pytest.mark.parametrize("after", [b"", b"y", b"z" * 40, "日".encode(), b"\xff"])
def test_broken_text_is_found_where_it_stands(before: bytes, after: bytes) -> None:
    broken = (
        b"\x80", b"\xbf", b"\xc0\x80", b"\xc1\xbf", b"\xc3", b"\xe0\x80\x80", b"\xe0\x9f\xbf", b"\xe2\x82",
        b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xed\xa0\xbd\xed\xb8\x80", b"\xf0\x80\x80\x80", b"\xf0\x8f\xbf\xbf",
        b"\xf0\x9f\x98", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xf8\x88\x80\x80\x80",
        b"\xfc\x84\x80\x80\x80\x80", b"\xfe", b"\xff",
    )  # fmt: skip
    for sequence in broken:
        text = before + sequence + after
        place = verdict(text)
        assert place == len(before)
        assert offset(text_head(len(text)) + text) == 5 + place
        assert offset(b"\x81" + text_head(len(text)) + text + b"\x01") == 6 + place
        assert offset(b'"' + text + b'"', "json") == 1 + place
        assert offset(b'{"\\n' + text + b'":1}', "json") == 4 + place


@pytest.mark.guarantee("V-07")
def test_no_text_holds_half_a_surrogate_pair() -> None:
    for text in (
        b"\\ud800", b"\\uDBFF", b"\\udc00", b"\\udfff", b"\\ud800x", b"\\ud800\\n", b"\\ud800\\u0041",
        b"\\ud800\\ud800", b"\\udc00\\ud800", b"\\ud83dx\\ude00",
    ):  # fmt: skip
        assert offset(b'["a' + text + b'"]', "json") == 3
        assert offset(b'{"' + text + b'":1}', "json") == 2
    assert pybridge.decode(b'"\\ud83d\\ude00\\uD83D\\uDE00"', "json") == "😀😀"
    for text in (b'"\\ud83d\\ude0', b'"\\u12', b'"\\'):
        assert offset(text, "json") == len(text)


def test_text_may_hold_any_character_and_no_more_than_is_there() -> None:
    assert pybridge.decode(b"\xa3a\x00b") == "a\x00b"
    assert pybridge.decode(b'"a\\u0000b"', "json") == "a\x00b"
    assert offset(b'"a\x00b"', "json") == 2
    for header in (text_head(1 << 30), b"\xc6" + struct.pack(">I", 1 << 30)):
        assert offset(header) == 5
        assert offset(header + b"x" * 1000) == 1005


# The last number is the offset of the key's text where it comes again; of other keys it is that of the key.
TWICE: dict[str, tuple[Codec, bytes, Any, int]] = {
    "msgpack": ("msgpack", b"\x82\xa1a\x01\xa1a\x02", {"a": 2}, 5),
    "msgpack, another header": ("msgpack", b"\x82\xa1a\x01\xd9\x01a\x02", {"a": 2}, 6),
    "msgpack, nested": (
        "msgpack",
        b"\x81\xa1k\x92\x00\x83\xa1a\x01\xa1b\x03\xa1a\x02",
        {"k": [0, {"a": 2, "b": 3}]},
        13,
    ),
    "msgpack, integers": (ANY_KEYS, b"\x82\x01\x01\xcc\x01\x02", {1: 2}, 3),
    "msgpack, bytes": (ANY_KEYS, b"\x82\xc4\x01k\x01\xc5\x00\x01k\x02", {b"k": 2}, 5),
    "json": ("json", b'{"a":1,"a":2}', {"a": 2}, 8),
    "json, an escape": ("json", b'{"a":1,"\\u0061":2}', {"a": 2}, 8),
    "json, nested": ("json", b'{"k":[0,{"a":1,"b":3,"a":2}]}', {"k": [0, {"a": 2, "b": 3}]}, 22),
}


@pytest.mark.guarantee("V-22")
@pytest.mark.parametrize(("codec", "data", "last", "again"), TWICE.values(), ids=TWICE)
def test_a_key_that_comes_twice_has_its_last_value_or_is_refused(
    codec: Codec, data: bytes, last: Any, again: int
) -> None:
    value = pybridge.decode(data, codec)
    assert value == last
    assert repr(value) == repr(last)
    assert offset(data, codec, STRICT) == again


@pytest.mark.guarantee("V-22")
def test_keys_that_come_twice_are_seen_however_far_apart() -> None:
    """Maps are built in parts of some hundred pairs."""
    for count in (1, 511, 512, 513, 1024, 1025, 3000):
        keys = [*map(str, range(count)), "0"]
        data = b"{" + b",".join(f'"{key}":{index}'.encode() for index, key in enumerate(keys)) + b"}"
        pairs = ((key.encode(), struct.pack(">H", index)) for index, key in enumerate(keys))
        packed = b"".join(b"\xd9" + bytes([len(key)]) + key + b"\xcd" + value for key, value in pairs)
        packed = b"\xdf" + struct.pack(">I", count + 1) + packed
        expected = {key: index for index, key in enumerate(keys[:-1])} | {"0": count}
        messages: dict[Codec, bytes] = {"json": data, "msgpack": packed}
        for codec, message in messages.items():
            assert pybridge.decode(message, codec) == expected
            again = message.rindex(b'"0":') + 1 if codec == "json" else message.rindex(b"\xd9\x010") + 2
            assert offset(message, codec, STRICT) == again


GOOD: dict[str, list[bytes]] = {
    "msgpack": [
        b"\xc0", b"\xc2", b"\x07", b"\xe0", b"\xcc\xff", b"\xcf" + b"\xff" * 8, b"\xd3" + b"\x80" * 8,
        b"\xca\0\0\0\0", b"\xcb" + b"\0" * 8, b"\xa0", b"\xa1a", b"\xd9\x01a", b"\xc4\x00", b"\xc4\x01\xff",
        b"\x90", b"\x91\x01", b"\xdc\0\0", b"\x80", b"\x81\xa1a\x90",
    ],
    "json": [
        b"null", b"true", b"0", b"-1", b"1.5", b"1e5", b'""', b'"a"', b"[]", b"[1]", b"{}", b'{"a":[]}', b" 1 ",
    ],
}  # fmt: skip


@pytest.mark.guarantee("V-21")
@pytest.mark.parametrize("codec", CODECS)
def test_nothing_may_follow_a_value(codec: Codec) -> None:
    for data in GOOD[codec]:
        pybridge.decode(data, codec)
        for byte in range(256):
            if codec == "msgpack" or not (
                byte in b" \t\r\n" or (data.strip()[-1:].isdigit() and byte in b".0123456789eE")
            ):
                assert offset(data + bytes([byte]), codec) == len(data), (data, byte)


@pytest.mark.guarantee("V-21")
@pytest.mark.parametrize("codec", CODECS)
def test_nothing_may_be_missing_from_a_value(codec: Codec) -> None:
    for data in GOOD[codec]:
        for end in range(len(data)):
            try:
                value = pybridge.decode(data[:end], codec)
            except DecodeError as error:
                assert error.offset <= end, (data, end)
            else:
                assert codec == "json", (data, end)
                assert isinstance(value, int), (data, end)


@pytest.mark.guarantee("V-23")
def test_reserved_and_extension_markers_are_refused_where_they_stand() -> None:
    for marker in (b"\xc1", b"\xc7\x00\x01", b"\xc8\x00\x01\x01x", b"\xc9\0\0\0\x01\x01x", b"\xd4\x01x", b"\xd5\x01xx",
                   b"\xd6\xff\x5f\x5e\x10\x00", b"\xd7\xff" + b"\0" * 8, b"\xd8\x01" + b"x" * 16):  # fmt: skip
        assert offset(marker) == 0
        assert offset(b"\x92\x01" + marker) == 2
        assert offset(b"\x81\xa1a" + marker) == 3
        for codec in ("msgpack", ANY_KEYS):
            assert offset(b"\x81" + marker + b"\x01", codec) == 1
    for key in (b"\xc0", b"\xc2", b"\xca\0\0\0\0", b"\xcb" + b"\0" * 8, b"\x90", b"\x80"):
        for codec in ("msgpack", ANY_KEYS):
            assert offset(b"\x82\xa1a\x01" + key + b"\x02", codec) == 4


HOSTILE: dict[str, tuple[Codec, bytes]] = {
    "nesting": ("msgpack", b"\x91" * 1_000_000),
    "nesting, JSON": ("json", b"[" * 1_000_000),
    "length": ("msgpack", b"\xdd\xff\xff\xff\xff"),
    "chained": ("msgpack", b"\xdc\xff\xff" * 24_000),
    "expansion": ("msgpack", b"\xdd\x00\x4c\x4b\x40" + b"\x80" * 5_000_000),
    "keys": ("msgpack", text_keys(50_000)[:-1]),
    "trailing": ("msgpack", b"\x80\x80"),
    "trailing, JSON": ("json", b"{}{}"),
    "empty": ("json", b""),
    "broken text": ("msgpack", b"\xa2\xc3\x28"),
    "surrogate": ("json", b'"\\ud800"'),
    "extension": ("msgpack", b"\xc7\x01\x01x"),
    "digits": ("json", b"9" * 1_000_000),
}


@pytest.mark.guarantee("L-09")
@pytest.mark.parametrize(("codec", "body"), HOSTILE.values(), ids=HOSTILE)
async def test_a_hostile_request_fails_alone(make_engine: EngineMaker, codec: Codec, body: bytes) -> None:
    """All that is refused above, as requests of one engine."""
    seen: list[Any] = []

    async def handler(request: Any) -> Any:
        seen.append(request)
        yield request

    expected = refused(body, codec)
    async with make_engine(handler) as engine:
        for _ in range(2):
            with pytest.raises(type(expected)) as caught:
                await collect(engine(body, encoded=codec))
            assert str(caught.value) == str(expected)
            assert getattr(caught.value, "offset", None) == getattr(expected, "offset", None)
        assert await collect(engine(b"\x81\xa1a\x01", encoded="msgpack")) == [{"a": 1}]
        assert await collect(engine(b'{"a":1}', encoded="json")) == [{"a": 1}]
    assert seen == [{"a": 1}] * 2


@pytest.mark.guarantee("L-10")
async def test_requests_are_held_to_the_engines_own_limits(make_engine: EngineMaker) -> None:
    async def handler(request: Any) -> Any:
        yield request

    limits = Limits(max_depth=2, max_nodes=10, max_frame_bytes=64, duplicate_keys="error")
    async with make_engine(handler, limits=limits) as engine:
        for body, name in (
            (b"[[[]]]", "max_depth"),
            (b"[1,2,3,4,5,6,7,8,9,10]", "max_nodes"),
            (b" " * 65, "max_frame_bytes"),
        ):
            with pytest.raises(LimitExceeded) as caught:
                await collect(engine(body, encoded="json"))
            assert caught.value.limit == name
        with pytest.raises(DecodeError):
            await collect(engine(b'{"a":1,"a":2}', encoded=JsonCodec()))
        assert await collect(engine(b"[[1]]", encoded="json")) == [[[1]]]
