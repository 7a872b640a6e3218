"""Small frames that stay alive keep little else alive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from pybridge import Frame, Pool, PoolConfig, PooledEngine
from pybridge.stats import PoolStats

from support.waiting import turns

KIB = 2**10
MIB = 2**20
SEGMENT = 64 * KIB
FAST = 12_000
"""Bytes of the frames that fill segments."""


def assert_within_bound(stats: PoolStats) -> None:
    assert stats.pinned_bytes <= 8 * MIB + 4 * stats.live_bytes, stats


@pytest.mark.guarantee("M-07")
async def test_stalled_streams_among_fast_ones_pin_no_more_than_the_bound() -> None:
    """600 stalled streams with one frame of 50 bytes each."""
    asyncio.get_running_loop().set_debug(False)  # which takes most of the time, of 3.12 and later above all
    stop = asyncio.Event()

    async def handler(request: int) -> AsyncIterator[bytes]:
        if request >= 0:
            yield b"%050d" % request
            await stop.wait()
            return
        while not stop.is_set():
            yield bytes(FAST)
            await asyncio.sleep(0)

    pool = Pool(PoolConfig(decay_interval=60))  # what is idle stays, on a slow machine as well
    async with PooledEngine(handler, pool=pool, codec="raw") as engine:
        taken = 0

        async def read_fast() -> None:
            nonlocal taken
            async for _ in engine.frames(-1):
                taken += 1
                if taken % 32 == 0:
                    assert_within_bound(pool.stats())

        fast = [asyncio.create_task(read_fast()) for _ in range(16)]
        stalled = []
        for number in range(600):
            stream = engine.frames(number)
            await stream.__aenter__()
            stalled.append(stream)
            enough = taken + 1.2 * SEGMENT / FAST
            while taken < enough:
                await turns(1)
        stats = pool.stats()
        assert_within_bound(stats)
        assert stats.peak_bytes < 16 * MIB, "every frame has pinned a segment of its own"
        stop.set()
        await asyncio.gather(*fast)
        for number, stream in enumerate(stalled):
            assert await anext(stream) == b"%050d" % number
            await stream.aclose()


@pytest.mark.guarantee("M-06")
@pytest.mark.parametrize("size", [50, 1 * KIB, 8 * KIB, 17 * KIB, 33 * KIB, 70 * KIB, 270 * KIB, 700 * KIB, MIB])
@pytest.mark.parametrize("segment", ["4KiB", "64KiB", "1MiB"])
async def test_python_object_pins_at_most_four_times_its_size(size: int, segment: str) -> None:
    """One frame kept, everything around it dropped: it holds at most 4 x its size and 4 KiB."""

    async def handler(request: int) -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"around"
        yield bytes(request)
        for _ in range(3):
            yield b"around"

    pool = Pool(PoolConfig(segment_bytes=segment))
    async with PooledEngine(handler, pool=pool, codec="raw") as engine:
        async for _ in engine.frames(size):
            pass
        kept: Frame | None = None
        async for frame in engine.frames(size):
            if len(frame) == size:
                kept = frame
        del frame
        async for _ in engine.frames(2 * MIB):
            pass
        assert kept == bytes(size)
        stats = pool.stats()
        writer = stats.segments.writers * stats.config.segment_bytes
        assert stats.held_bytes - writer <= 4 * size + 4 * KIB
        del kept
