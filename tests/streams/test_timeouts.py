"""`timeout`, `write_timeout` and `idle_timeout`: the time that each counts, at no cost while there is none to count."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest

from pybridge import Context, FlowConfig, PooledEngine

from support.consumers import collect, take, take_late
from support.engines import EngineMaker
from support.reference import outcome_of
from support.waiting import until


async def quiet(request: object) -> AsyncGenerator[int, None]:
    yield 0
    await asyncio.Event().wait()


async def processor_time_of_a_second() -> float:
    """Seconds that all threads of the process run while this one waits for a second."""
    before = time.process_time()
    await asyncio.sleep(1)
    return time.process_time() - before


async def test_streams_that_do_not_wait_for_their_consumers_cost_no_time() -> None:
    engine = PooledEngine(quiet, worker="attached", flow=FlowConfig(write_timeout=0.004))
    streams = [engine(None) for _ in range(1000)]
    for stream in streams:
        assert await anext(stream) == 0
    spent = await processor_time_of_a_second()
    await asyncio.gather(*(stream.aclose() for stream in streams))
    assert spent < 0.3  # a look at each per millisecond takes all the time there is


@pytest.mark.guarantee("F-05")
async def test_time_without_credit_is_not_the_handlers() -> None:
    async def handler(request: object) -> AsyncGenerator[int, None]:
        for number in range(3):
            yield number
        await asyncio.sleep(1.2)
        yield 3

    engine = PooledEngine(handler, worker="attached", flow=FlowConfig(high_water_items=1))
    async with engine(None, idle_timeout=2) as stream:
        assert await anext(stream) == 0
        await until(lambda: engine.stats().flow.waits, "the handler waits for its consumer")
        assert await take_late(stream, 3, 1.5) == [1, 2, 3]


@pytest.mark.guarantee("F-05")
async def test_time_that_the_lifespan_takes_is_not_the_handlers() -> None:
    @contextlib.asynccontextmanager
    async def slow() -> AsyncIterator[None]:
        await asyncio.sleep(1.5)
        yield

    async def handler(request: object) -> AsyncGenerator[int, None]:
        await asyncio.sleep(1.2)
        yield 1

    async with PooledEngine(handler, worker="attached", lifespan=slow) as engine:
        assert await engine.call(None, idle_timeout=2) == 1


@pytest.mark.guarantee("F-04")
async def test_deadline_of_the_parent_bounds_its_children(make_engine: EngineMaker) -> None:
    async def child(request: object, context: Context) -> AsyncGenerator[bool, None]:
        yield context.remaining() is not None

    async def parent(request: object) -> AsyncGenerator[Any, None]:
        yield await inner.call(None, timeout=1000)
        yield await inner.call(None, parent=None)

    inner = make_engine(child)
    assert await collect(make_engine(parent)(None, timeout=30)) == [True, False]


@pytest.mark.guarantee("F-06")
async def test_items_made_before_a_deadline_are_delivered_before_it(make_engine: EngineMaker) -> None:
    over: list[int] = []

    async def handler(request: object) -> AsyncGenerator[int, None]:
        try:
            for number in range(20):
                yield number
            await asyncio.Event().wait()
        finally:
            over.append(1)

    stream = make_engine(handler)(None, timeout=0.1)
    assert await take(stream, 1) == [0]
    await until(lambda: over, "the deadline has passed")
    outcome = await outcome_of(stream)
    assert outcome.items == list(range(1, 20))
    assert outcome.ending
    assert outcome.ending.startswith("StreamCancelled")
