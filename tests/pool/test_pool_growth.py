"""Growth of frames whose length is not known: their first buffer, and the cost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from pybridge import Pool, PooledEngine

TURNS = 20


async def handler(strings: int) -> AsyncIterator[list[str]]:
    for _ in range(TURNS):
        yield ["x" * 100] * strings
        await asyncio.sleep(0)


async def test_a_large_frame_begins_in_a_buffer_as_large_as_its_streams_last_one() -> None:
    """Two streams in turn: growth takes further buffers for the first frame of each only."""
    pool = Pool()
    async with PooledEngine(handler, pool=pool) as engine:
        short, long = engine.frames(1_000), engine.frames(9_000)
        for _ in range(TURNS):
            assert len(await anext(short)) > 100_000
            assert len(await anext(long)) > 900_000
        stats = pool.stats()
        taken = sum(entry.hits + entry.misses for entry in stats.classes)
        assert 2 * TURNS <= taken <= 2 * TURNS + 4, stats.classes
        await short.aclose()
        await long.aclose()
        del short, long
