"""Chunks at an interval: `flush_interval`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pybridge import ConfigError, FlowConfig

from support.engines import EngineMaker

LONG = 1_000_000.0
"""Seconds of an interval that does not end while the process lives."""


async def count(request: int) -> AsyncIterator[int]:
    for number in range(request):
        yield number
        await asyncio.sleep(0)


@pytest.mark.guarantee("S-21")
async def test_first_chunk_and_end_leave_at_once_and_the_rest_in_one_piece(make_engine: EngineMaker) -> None:
    engine = make_engine(count)
    chunks = [chunk async for chunk in engine.chunks(2000, framing="ndjson", codec="json", flush_interval=LONG)]
    assert b"".join(chunks) == b"".join(b"%d\n" % number for number in range(2000))
    assert chunks[0].startswith(b"0\n")
    assert len(chunks) <= 2, "one at once, and the rest with the end"


@pytest.mark.guarantee("S-21")
async def test_at_most_one_chunk_leaves_in_each_interval_of_the_clock(make_engine: EngineMaker) -> None:
    async def paced(_request: None) -> AsyncIterator[int]:
        for number in range(40):
            yield number
            await asyncio.sleep(0.005)

    engine = make_engine(paced)
    started = time.monotonic()
    times: list[float] = []
    lines = b""
    async for chunk in engine.chunks(None, framing="ndjson", codec="json", flush_interval=0.05):
        times.append(time.monotonic() - started)
        lines += chunk
    assert lines == b"".join(b"%d\n" % number for number in range(40))
    assert len(times) > 2
    # The first one leaves at once, the second nearly an interval later, and the end at once.
    least = [max(0, number - 1) * 0.05 for number in range(len(times) - 1)]
    assert all(time >= least for time, least in zip(times, least, strict=False)), times


async def test_an_item_after_a_silence_leaves_at_once(make_engine: EngineMaker) -> None:
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def silent(_request: None) -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(0.1)
        loop.call_soon_threadsafe(asked.set)
        yield 2
        await asyncio.Event().wait()

    async with make_engine(silent).chunks(None, framing="ndjson", codec="json", flush_interval=0.05) as chunks:
        assert await anext(chunks) == b"1\n"
        assert await anext(chunks) == b"2\n"
        assert asked.is_set()


async def test_the_handler_does_not_wait_for_the_interval(make_engine: EngineMaker) -> None:
    """Items that gather give their credit back; a window full of bytes leaves early."""
    text = "x" * 1000

    async def tight(request: int) -> AsyncIterator[str]:
        for _ in range(request):
            yield text

    engine = make_engine(tight, flow=FlowConfig(high_water="64KiB"))
    chunks = [chunk async for chunk in engine.chunks(1000, framing="ndjson", codec="json", flush_interval=LONG)]
    assert b"".join(chunks) == b'"%s"\n' % text.encode() * 1000
    assert len(chunks) > 5
    assert all(len(chunk) >= 64000 - 64 * 70 for chunk in chunks[1:-1])


@pytest.mark.guarantee("S-21")
async def test_a_failure_leaves_at_once_after_what_gathered(make_engine: EngineMaker) -> None:
    async def failing(_request: None) -> AsyncIterator[int]:
        for number in range(10):
            yield number
            await asyncio.sleep(0)
        raise ValueError("late")

    lines = b""
    with pytest.raises(ValueError, match="late"):
        async for chunk in make_engine(failing).chunks(None, framing="ndjson", codec="json", flush_interval=LONG):
            lines += chunk
    assert lines == b"".join(b"%d\n" % number for number in range(10))


async def test_leaving_within_an_interval_cancels_the_handler(make_engine: EngineMaker) -> None:
    ended: list[str] = []

    async def endless(_request: None) -> AsyncIterator[int]:
        try:
            while True:
                yield 1
                await asyncio.sleep(0.001)  # slow enough to fill no window
        finally:
            ended.append("finally")

    async with make_engine(endless).chunks(None, framing="ndjson", codec="json", flush_interval=LONG) as chunks:
        assert await anext(chunks)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(chunks), 0.05)
    assert ended == ["finally"]


@pytest.mark.parametrize("interval", [-1, "1", None, True, float("nan"), float("inf")])
async def test_an_interval_that_cannot_be_is_refused(make_engine: EngineMaker, interval: Any) -> None:
    with pytest.raises(ConfigError, match="flush_interval"):
        make_engine(count).chunks(1, flush_interval=interval)
