"""Memory that streams leave behind in the pool."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from pybridge import EncodeError, Frame, Pool, PoolConfig, PooledEngine

from support.consumers import collect
from support.waiting import until

KIB = 2**10
MIB = 2**20
SEGMENT = 64 * KIB
CAP = 36 * MIB
"""What the default limits let park: 4 MiB of segments and 32 MiB of large buffers."""


async def strings(sizes: list[int]) -> AsyncIterator[str]:
    for size in sizes:
        yield "x" * size


@pytest.mark.guarantee("M-08")
async def test_one_large_frame_leaves_no_large_capacity_behind() -> None:
    """After a frame of 15 MiB, small frames of the same stream hold one segment."""
    pool = Pool()
    async with PooledEngine(strings, pool=pool) as engine:
        stream = engine([15 * MIB, *[200] * 10_000])
        assert len(await anext(stream)) == 15 * MIB
        assert len(await anext(stream)) == 200
        await until(lambda: pool.stats().classes[-1].live_bytes == 0, "the large buffer home")
        async for item in stream:
            assert len(item) == 200
        stats = pool.stats()
        assert stats.held_bytes <= SEGMENT
        assert stats.parked_bytes <= CAP
        assert pool.trim() >= 15 * MIB
        assert pool.stats().parked_bytes == 0


@pytest.mark.guarantee("V-19", "M-08")
async def test_failed_frame_leaves_no_byte_and_no_capacity() -> None:
    """Frames that fail after 0, 1, many bytes and 4 MiB leave every good frame exact and nothing held."""
    wrong: list[Any] = [object(), [object()], [*range(200), object()], ["x" * 4 * MIB, object()]]

    async def handler(request: int) -> AsyncIterator[Any]:
        yield {"good": "y" * request}
        yield {"good": list(range(request))}
        yield wrong[request % len(wrong)]

    pool = Pool()
    async with PooledEngine(handler, pool=pool) as engine:

        async def check(request: int) -> None:
            frames = []
            with pytest.raises(EncodeError):
                async for frame in engine.frames(request):
                    frames.append(bytes(frame))  # noqa: PERF401  # what came before the error is looked at
            good = [{"good": "y" * request}, {"good": list(range(request))}]
            assert frames == [msgspec.msgpack.encode(item) for item in good]

        for start in range(0, 200, 40):
            await asyncio.gather(*(check(request) for request in range(start, start + 40)))
        stats = pool.stats()
        assert stats.live_bytes == 0
        assert stats.held_bytes <= 2 * SEGMENT
        assert stats.parked_bytes <= CAP


@pytest.mark.guarantee("M-01")
async def test_pool_is_within_its_cap_after_a_burst_and_empty_when_idle() -> None:
    """A burst of 1,500 streams, then nothing: within the cap at once, empty after the idle timeout."""
    config = PoolConfig(decay_interval=0.05, idle_timeout=0.2, small_parked_bytes="1MiB", large_parked_bytes="4MiB")
    pool = Pool(config)
    sizes = random.Random(64)
    requests = [[sizes.randrange(3000), sizes.choice([sizes.randrange(200), 90_000])] for _ in range(1500)]
    gate = asyncio.Event()

    async def handler(request: list[int]) -> AsyncIterator[str]:
        await gate.wait()
        for size in request:
            yield "x" * size

    async with PooledEngine(handler, pool=pool) as engine:

        async def run(request: list[int]) -> None:
            frames = await collect(engine.frames(request))
            for frame, size in zip(frames, request, strict=True):
                assert b"\xa5" not in bytes(frame)[5:], "the poison of a returned buffer is on the wire"
                assert frame.decode() == "x" * size

        tasks = [asyncio.create_task(run(request)) for request in requests]
        await until(lambda: engine.stats().streams.live == len(requests), "all streams started")
        gate.set()
        await asyncio.gather(*tasks)
        stats = pool.stats()
        assert stats.parked_bytes <= 5 * MIB
        assert stats.peak_bytes > 5 * MIB
        await until(lambda: pool.stats().parked_bytes == 0, lambda: f"an empty pool: {pool.stats()}")
        assert pool.stats().held_bytes <= SEGMENT
        assert pool.stats().released["cap"] > 0


@pytest.mark.guarantee("M-07")
async def test_slow_consumers_hold_what_they_hold_and_no_more() -> None:
    """250 streams whose consumers keep 128 frames each; afterwards the pool is back within its cap."""

    async def handler(request: int) -> AsyncIterator[list[int]]:
        for number in range(128):
            yield [request, number] * (1 + (request + number) % 64)

    pool = Pool()
    async with PooledEngine(handler, pool=pool) as engine:
        streams = [engine.frames(request) for request in range(250)]
        kept: list[list[Frame]] = [[] for _ in streams]

        async def take(request: int) -> None:
            for _ in range(128):
                kept[request].append(await anext(streams[request]))

        await asyncio.gather(*map(take, range(len(streams))))
        stats = pool.stats()
        held = sum(len(frame) for frames in kept for frame in frames)
        assert stats.held_bytes <= held + len(kept) * 2 * SEGMENT
        assert stats.pinned_bytes <= 8 * MIB + 4 * stats.live_bytes
        encoder = msgspec.msgpack.Encoder()
        for request, frames in enumerate(kept):
            for number, frame in enumerate(frames):
                assert frame == encoder.encode([request, number] * (1 + (request + number) % 64))
        for stream in streams:
            await stream.aclose()
        kept.clear()
        del frame, frames
        streams.clear()
        await until(lambda: pool.stats().live_bytes == 0, "everything home")
        stats = pool.stats()
        assert stats.parked_bytes + stats.held_bytes <= 4 * MIB + 2 * SEGMENT


@pytest.mark.guarantee("M-02")
async def test_trim_gives_idle_memory_back_at_once() -> None:
    pool = Pool()
    async with PooledEngine(strings, pool=pool) as engine:
        await collect(engine([MIB] * 3))
        parked = pool.stats().parked_bytes
        assert parked >= MIB
        assert engine.trim() == parked
        stats = pool.stats()
        assert (stats.parked_bytes, stats.released["trim"]) == (0, parked)
