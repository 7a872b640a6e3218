"""Whatever is dropped, wherever it is, is closed: once, soon, and without the collector."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import AsyncGenerator

from support.consumers import collect
from support.engines import EngineMaker
from support.waiting import until

DROPS = 1000
SEED = 20


class Counts:
    """Handlers that were entered and whose cleanup ran."""

    def __init__(self) -> None:
        self.entered = 0
        self.left = 0

    async def handler(self, request: int) -> AsyncGenerator[object, None]:
        """Waits, yields at once, and yields what takes its time to encode."""
        self.entered += 1
        try:
            for index in range(12):
                if index % 3 == request % 3:
                    await asyncio.sleep(0)
                yield [index] * (2000 if index % 5 == request % 5 else 1)
        finally:
            self.left += 1


async def test_stream_dropped_anywhere_is_cleaned_up_once(make_engine: EngineMaker) -> None:
    """T-20: before the first step, in an await, at a yield, between items, after the last."""
    counts, chance = Counts(), random.Random(SEED)
    engine = make_engine(counts.handler)

    async def drop(request: int) -> None:
        stream = engine(request)
        way, items = chance.randrange(4), chance.randrange(14)
        if way == 0:
            await stream.__aenter__()
        try:
            for _ in range(items):
                if way == 1:
                    await asyncio.wait_for(anext(stream), chance.choice([0.0, 0.001, 1.0]))
                else:
                    await anext(stream)
        except (StopAsyncIteration, TimeoutError):
            pass
        if way != 2:
            await stream.aclose()

    for first in range(0, DROPS, 50):
        await asyncio.gather(*(drop(request) for request in range(first, first + 50)))
    await until(lambda: engine.stats().streams.live == 0, "all streams to end")
    assert counts.entered == counts.left > DROPS // 2
    streams = engine.stats().streams
    assert streams.raised == 0
    assert streams.started == streams.finished + sum(streams.cancelled.values())


async def test_abandoned_streams_need_no_collector(make_engine: EngineMaker, collector_off: None) -> None:
    """T-18, short form"""
    counts = Counts()
    engine = make_engine(counts.handler)

    async def take_one(request: int) -> None:
        async for _ in engine(request):
            break

    for request in range(300):
        await take_one(request)
    await until(lambda: engine.stats().streams.live == 0, "all streams to end")
    assert (counts.entered, counts.left) == (300, 300)


async def test_running_streams_survive_a_collection_at_every_turn(make_engine: EngineMaker) -> None:
    """T-21"""

    async def handler(request: int) -> AsyncGenerator[int, None]:
        for index in range(4):
            await asyncio.sleep(0)
            yield request + index

    engine = make_engine(handler)
    loop, collecting = asyncio.get_running_loop(), True

    def collect_garbage() -> None:
        gc.collect(0)
        if collecting:
            loop.call_soon(collect_garbage)

    collect_garbage()
    try:
        for first in range(0, 500, 100):
            results = await asyncio.gather(*(collect(engine(request)) for request in range(first, first + 100)))
            assert results == [[request + index for index in range(4)] for request in range(first, first + 100)]
            gc.collect()
    finally:
        collecting = False
