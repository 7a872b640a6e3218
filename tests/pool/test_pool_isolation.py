"""No byte of one request is ever in the answer to another."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Literal

import pytest

from pybridge import FlowConfig, Pool, PoolConfig, PooledEngine

MARKER = 8


def marker(request: int) -> bytes:
    return b"%07d|" % request


async def echo(request: bytes) -> AsyncIterator[bytes]:
    """Gives the request back in pieces of sizes that its marker decides."""
    sizes = random.Random(request[:MARKER])
    at = 0
    while at < len(request):
        size = MARKER * sizes.choice([1, 3, 60, sizes.randrange(1, 700), sizes.randrange(1, 9000)])
        yield request[at : at + size]
        at += size
        if sizes.random() < 0.2:
            await asyncio.sleep(0)


@pytest.mark.guarantee("L-11")
@pytest.mark.parametrize("worker", ["attached", "dedicated"])
@pytest.mark.parametrize("zero", [False, True])
async def test_every_response_holds_its_own_marker_alone(worker: Literal["attached", "dedicated"], zero: bool) -> None:
    """Unique markers, fuzzed sizes, reused buffers, consumers that break off: all responses searched."""
    sizes = random.Random(12)
    config = PoolConfig(segment_bytes="16KiB", large_parked_bytes="16MiB", max_live_bytes="512MiB", zero_on_reuse=zero)
    pool = Pool(config)
    flow = FlowConfig(max_concurrency=48)
    async with PooledEngine(echo, pool=pool, codec="raw", worker=worker, flow=flow) as engine:

        async def run(request: int) -> None:
            own = marker(request)
            body = own * sizes.choice([1, 5, sizes.randrange(1, 500), sizes.randrange(1, 12_000)])
            taken = bytearray()
            stop = sizes.random() < 0.1
            stream = engine.frames(body, encoded="raw")
            async for frame in stream:
                part = bytes(frame)
                assert part.replace(own, b"") == b"", f"request {request}: foreign bytes"
                taken += part
                if stop:
                    break
            await stream.aclose()
            assert stop or taken == body

        for start in range(0, 600, 300):
            await asyncio.gather(*map(run, range(start, start + 300)))
        stats = pool.stats()
        assert stats.hits > 200, "buffers were used again"
        del stats


@pytest.mark.guarantee("L-11")
async def test_poison_never_reaches_the_wire() -> None:
    """Where returned buffers are poisoned, no frame of any size shows it."""
    sizes = random.Random(0xA5)

    async def handler(request: list[int]) -> AsyncIterator[bytes]:
        for size in request:
            yield bytes(size)

    async with PooledEngine(handler, pool=PoolConfig(segment_bytes="4KiB"), codec="raw") as engine:
        for _ in range(200):
            request = [sizes.choice([sizes.randrange(5000), sizes.randrange(300_000)]) for _ in range(5)]
            async for frame in engine.frames(request):
                assert not bytes(frame).strip(b"\0")
        assert engine.stats().pool.hits > 0
