"""Consumers that do not keep up: their handlers wait, nobody else does, and `write_timeout` ends their streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from pybridge import FlowConfig, PooledEngine, StreamCancelled

from support.consumers import SlowConsumer, collect, take, take_late
from support.engines import EngineMaker
from support.waiting import until


async def endless(request: object) -> AsyncGenerator[int, None]:
    number = 0
    while True:
        yield number
        number += 1


@pytest.mark.guarantee("F-01", "F-02")
async def test_slow_consumer_does_not_slow_its_neighbours(make_engine: EngineMaker) -> None:
    async def handler(request: int) -> AsyncGenerator[int, None]:
        for number in range(request):
            yield number

    engine = make_engine(handler, flow=FlowConfig(high_water_items=8))
    async with SlowConsumer(engine(2_000)) as slow:
        slow.allow(1)
        await slow.until_taken(1)
        await until(lambda: engine.stats().flow.waits, "the handler waits for its consumer")
        assert await collect(engine(1_000)) == list(range(1_000))
        assert engine.stats().flow.in_flight_bytes < 64 * 80
        slow.allow(2_000)
        assert await slow.until_taken(2_000) == list(range(2_000))


@pytest.mark.guarantee("F-02")
async def test_one_consumer_of_many_that_never_reads_stops_no_other(make_engine: EngineMaker) -> None:
    """63 of 64 streams finish; the last has lost nothing."""

    async def handler(request: int) -> AsyncGenerator[int, None]:
        for number in range(200):
            if number % 10 == 0:
                await asyncio.sleep(0)
            yield request + number

    engine = make_engine(handler, flow=FlowConfig(high_water_items=16))
    idle = engine(0)
    assert await anext(idle) == 0
    others = await asyncio.gather(*(collect(engine(request)) for request in range(1, 64)))
    assert others == [list(range(request, request + 200)) for request in range(1, 64)]
    assert engine.stats().streams.live == 1
    assert await collect(idle) == list(range(1, 200))


@pytest.mark.guarantee("F-03")
async def test_consumer_that_takes_nothing_is_slow(make_engine: EngineMaker) -> None:
    engine = make_engine(endless, flow=FlowConfig(high_water_items=4, write_timeout=0.1))
    stream = engine(None)
    assert await anext(stream) == 0
    await until(lambda: engine.stats().flow.slow_consumers, "it was cancelled")
    with pytest.raises(StreamCancelled, match="slow_consumer"):
        await take(stream, 100)


@pytest.mark.guarantee("F-03")
async def test_consumer_that_takes_now_and_then_is_not_slow() -> None:
    """Whenever a timer looks, the handler waits with as much in flight as before."""
    engine = PooledEngine(endless, worker="attached", flow=FlowConfig(high_water_items=4, write_timeout=1))
    async with engine(None) as stream:
        for taken in range(0, 40, 5):
            # The timer looks as often.
            assert await take_late(stream, 5, 0.25) == list(range(taken, taken + 5))
