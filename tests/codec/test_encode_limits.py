"""Limits of what goes out, from both sides."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pybridge
from pybridge import JsonCodec, LimitExceeded, Limits, MsgpackCodec
from pybridge.config import MAX_DEPTH

from support.engines import EngineMaker


def nested(depth: int, wrap: Callable[[Any], Any]) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = wrap(value)
    return value


@dataclasses.dataclass
class Link:
    next: Any


class SubList(list[Any]): ...


WRAPS: dict[str, Callable[[Any], Any]] = {
    "list": lambda value: [value],
    "tuple": lambda value: (value,),
    "dict": lambda value: {"k": value},
    "subclass": lambda value: SubList([value]),
    "dataclass": Link,
}


def on_small_stack(run: Callable[[], object], size: int = 256 << 10) -> None:
    failures: list[BaseException] = []

    def caught() -> None:
        try:
            run()
        except BaseException as error:
            failures.append(error)

    before = threading.stack_size(size)
    try:
        thread = threading.Thread(target=caught)
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    if failures:
        raise failures[0]


@pytest.mark.guarantee("L-01")
@pytest.mark.parametrize("codec", ["msgpack", "json"])
@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
def test_depth_is_limited_on_a_small_stack_and_in_no_time(codec: Any, wrap: Callable[[Any], Any]) -> None:
    def run() -> None:
        for depth in (1, 127, 128):
            assert pybridge.encode(nested(depth, wrap), codec)
        for depth in (129, 130):
            with pytest.raises(LimitExceeded) as caught:
                pybridge.encode(nested(depth, wrap), codec)
            assert caught.value.limit == "max_depth"

    on_small_stack(run)


@pytest.mark.parametrize("codec", [MsgpackCodec, JsonCodec])
@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
def test_the_deepest_that_may_be_asked_for_leaves_stack_for_python_code(
    codec: Callable[..., Any], wrap: Callable[[Any], Any]
) -> None:
    """A hook, and the interpreter around it, below the innermost container."""
    limits = Limits(max_depth=MAX_DEPTH)
    spec = codec(default=lambda value: sorted({"hooked": str(value)}, key=lambda key: f"{key}"))

    def run() -> None:
        for depth in (MAX_DEPTH - 1, MAX_DEPTH):
            value = nested(depth, lambda value: wrap(object() if value == 1 else value))
            if depth < MAX_DEPTH:
                assert b"hooked" in bytes(pybridge.encode(value, spec, limits=limits))
            else:
                with pytest.raises(LimitExceeded):
                    pybridge.encode(value, spec, limits=limits)

    on_small_stack(run, 512 << 10)


@pytest.mark.guarantee("L-01")
@pytest.mark.parametrize("codec", ["msgpack", "json"])
def test_endless_nesting_is_refused_at_once(codec: Any) -> None:
    deep = nested(1_000_000, lambda value: [value])
    own: list[Any] = []
    own.append(own)
    looped: dict[str, Any] = {}
    looped["self"] = [looped]
    link = Link(None)
    link.next = link

    def run() -> None:
        for value in (deep, own, looped, link):
            start = time.thread_time()
            with pytest.raises(LimitExceeded):
                pybridge.encode(value, codec)
            assert time.thread_time() - start < 0.01

    on_small_stack(run)
    while isinstance(deep, list):
        deep = deep.pop()


def test_a_hook_that_nests_for_ever_is_stopped() -> None:
    codec = MsgpackCodec(default=lambda value: [value])

    def run() -> None:
        with pytest.raises(pybridge.EncodeError):
            pybridge.encode(object(), codec)

    on_small_stack(run)


@pytest.mark.guarantee("L-02")
@pytest.mark.parametrize("codec", [MsgpackCodec, JsonCodec])
@pytest.mark.parametrize("depth", [0, 1, 10, 120])
def test_hooks_that_encode_inside_one_another_share_one_depth(codec: Callable[..., Any], depth: int) -> None:
    """Without end on a small stack, and a few of them as if they were alone."""

    class Box:
        def __init__(self, inside: object) -> None:
            self.inside = inside

    def hook(box: Any) -> str:
        value = box if box.inside is None else box.inside
        for _ in range(depth):
            value = [value]
        return bytes(pybridge.encode(value, spec)).hex()

    spec = codec(default=hook)

    def run() -> None:
        with pytest.raises(pybridge.EncodeError, match="encodings around this one included"):
            pybridge.encode(Box(None), spec)
        assert pybridge.encode(Box(Box(2)), spec)
        assert pybridge.encode(nested(127, lambda value: [value]), spec)

    on_small_stack(run)


def test_depth_counts_containers_of_every_kind() -> None:
    limits = Limits(max_depth=2)
    for value in ([[1]], {"a": (1,)}, Link([1]), np.zeros((2, 2)), [np.zeros(2)]):
        assert pybridge.encode(value, limits=limits)
        for outer in ([value], {"a": value}, Link(value)):
            with pytest.raises(LimitExceeded, match=r" at \$.+ \(max_depth\)") as caught:
                pybridge.encode(outer, limits=limits)
            assert str(caught.value).endswith(f" at {caught.value.path} (max_depth)")


@pytest.mark.guarantee("L-03")
def test_nodes_are_counted_before_they_are_written() -> None:
    limits = Limits(max_nodes=10)
    value: Any
    for value in ([0] * 9, {str(i): i for i in range(9)}, tuple(range(9)), np.zeros(9), [[0] * 3, [0] * 4]):
        assert pybridge.encode(value, limits=limits)
    for value in ([0] * 10, {str(i): i for i in range(10)}, np.zeros(10), np.zeros((2, 5)), [[0] * 4, [0] * 4]):
        with pytest.raises(LimitExceeded) as caught:
            pybridge.encode(value, limits=limits)
        assert caught.value.limit == "max_nodes"
        assert str(caught.value).endswith(f"more than 10 values at {caught.value.path} (max_nodes)")


@pytest.mark.guarantee("L-04")
@pytest.mark.parametrize("size", [10, 5_000, 100_000, 3_000_000])
def test_a_frame_is_as_long_as_its_limit_and_not_a_byte_longer(size: int) -> None:
    limits = Limits(max_frame_bytes=size)
    header = {10: 1, 5_000: 3, 100_000: 5, 3_000_000: 5}[size]
    exact: list[tuple[Any, Any, Any]] = [
        ("msgpack", "x" * (size - header), "x"),
        ("json", "x" * (size - 2), "x"),
        ("json", "é" * ((size - 2) // 2), "é"),
        ("raw", "x" * size, "x"),
        ("raw", b"x" * size, b"x"),
        ("msgpack", b"x" * (size - max(header, 2)), b"x"),
    ]
    for codec, value, more in exact:
        assert len(pybridge.encode(value, codec, limits)) in {size, size - 1}
        with pytest.raises(LimitExceeded) as caught:
            pybridge.encode(value + more, codec, limits)
        assert str(caught.value) == f"more than {size} bytes at $ (max_frame_bytes)"
        assert (caught.value.limit, caught.value.path) == ("max_frame_bytes", "$")
    with pytest.raises(LimitExceeded):
        pybridge.encode(memoryview(bytes(size + 1)), "msgpack", limits)
    with pytest.raises(LimitExceeded):
        pybridge.encode(memoryview(bytes(2 * size + 2))[::2], "raw", limits)
    with pytest.raises(LimitExceeded):
        pybridge.encode([0.5] * (size // 9 + 1), "msgpack", limits)
    with pytest.raises(LimitExceeded):
        pybridge.encode("\x00" * (size // 6 + 1), "json", limits)


@pytest.mark.guarantee("V-24")
async def test_a_frame_decodes_within_the_limits_it_was_made_with(make_engine: EngineMaker) -> None:
    deep = nested(MAX_DEPTH, lambda value: [value])

    async def handler(request: Any) -> Any:
        yield request

    limits = Limits(max_depth=MAX_DEPTH)
    assert pybridge.encode(deep, limits=limits).decode() == deep
    async with make_engine(handler, limits=limits) as engine:
        assert [frame.decode() async for frame in engine.frames(deep)] == [deep]
        assert await engine.call(deep) == deep
