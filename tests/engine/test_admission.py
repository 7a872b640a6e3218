"""Calls that get a place, wait for one, or are refused: by number, and by the memory of their requests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from pybridge import FlowConfig, Overloaded, PooledEngine, Stream, encode

from support.consumers import collect
from support.engines import EngineMaker
from support.waiting import turns, until

GROWTH = 4.0
"""How many times longer a call may take to leave a queue that is 32 times as long."""


async def waits(request: int) -> AsyncGenerator[int, None]:
    yield request
    await asyncio.Event().wait()


async def time_to_leave(length: int) -> float:
    """Seconds that a call takes to leave a queue of that length, the shortest of many."""
    engine = PooledEngine(waits, worker="attached", flow=FlowConfig(max_concurrency=1))
    first = engine(0)
    assert await anext(first) == 0
    waiting: list[Stream[int]] = [engine(number) for number in range(length)]
    for stream in waiting:
        await stream.__aenter__()
    assert engine.stats().streams.queued == length
    shortest = 1.0
    for _ in range(20):
        leaving = [waiting.pop(len(waiting) // 2) for _ in range(10)]
        begun = time.perf_counter()
        leaving.clear()
        shortest = min(shortest, (time.perf_counter() - begun) / 10)
    assert engine.stats().streams.queued == length - 200
    engine.close()
    await first.aclose()
    waiting.clear()
    await until(lambda: not engine.stats().streams.live, "all have ended")
    return shortest


async def test_time_to_leave_the_queue_does_not_grow_with_it() -> None:
    short, long = await time_to_leave(250), await time_to_leave(8_000)
    assert long < GROWTH * short, (short, long)


@pytest.mark.guarantee("F-09")
async def test_calls_given_up_while_they_wait_give_their_place_back(make_engine: EngineMaker) -> None:
    async def handler(request: object) -> AsyncGenerator[int, None]:
        yield 1
        await asyncio.sleep(0)

    engine = make_engine(handler, flow=FlowConfig(max_concurrency=1))
    for pause in range(60):
        calls = [asyncio.ensure_future(engine.call(None, timeout=[None, 0, 0.001][pause % 3])) for _ in range(4)]
        await turns(pause % 5)
        for call in calls[::2]:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
    await until(lambda: engine.stats().streams.live == 0, "all have ended")
    assert await engine.call(None) == 1


@pytest.mark.guarantee("F-08")
async def test_calls_get_their_places_in_the_order_they_came_whoever_leaves(make_engine: EngineMaker) -> None:
    begun: list[int] = []

    async def handler(request: int) -> AsyncGenerator[int, None]:
        begun.append(request)
        # The first one waits for its consumer, also on a loop that runs tasks while it makes them.
        for _ in range(4 if request == 0 else 1):
            yield request

    engine = make_engine(handler, flow=FlowConfig(max_concurrency=1, high_water_items=1))
    async with engine(0) as first:
        waiting = [engine(number) for number in range(1, 20)]
        for stream in waiting:
            await stream.__aenter__()
        for stream in waiting[::3]:
            await stream.aclose()
        assert await collect(first) == [0] * 4
        for number, stream in enumerate(waiting, 1):
            assert await collect(stream) == ([] if stream in waiting[::3] else [number])
    assert begun == [0, *(number for number in range(1, 20) if number % 3 != 1)]


@pytest.mark.guarantee("F-07")
async def test_calls_over_the_limits_are_refused_and_the_handler_is_not_called(make_engine: EngineMaker) -> None:
    called: list[int] = []
    release: list[Any] = []

    async def handler(request: int) -> AsyncGenerator[int, None]:
        called.append(request)
        event = asyncio.Event()
        release.append((asyncio.get_running_loop(), event))
        yield request
        await event.wait()

    engine = make_engine(handler, flow=FlowConfig(max_concurrency=2, max_queue=1))
    streams = [engine(number) for number in range(2)]
    for stream in streams:
        await anext(stream)
    queued = asyncio.create_task(collect(engine(2)))
    await until(lambda: engine.stats().streams.queued == 1, "one waits")
    for _ in range(3):
        with pytest.raises(Overloaded, match=r": 2 of 2 run \(max_concurrency\), 1 of 1 wait \(max_queue\)$"):
            await anext(engine(3))
    assert called == [0, 1]
    for loop, event in release:
        loop.call_soon_threadsafe(event.set)
    await until(lambda: len(release) == 3, "the one that waited runs")
    loop, event = release[2]
    loop.call_soon_threadsafe(event.set)
    assert await queued == [2]
    assert [await collect(stream) for stream in streams] == [[], []]


@pytest.mark.guarantee("F-10")
async def test_nested_calls_pass_the_limit_of_their_own_engine(make_engine: EngineMaker) -> None:
    async def handler(request: int) -> AsyncGenerator[int, None]:
        yield request + (await engine.call(request - 1) if request else 0)

    engine = make_engine(handler, flow=FlowConfig(max_concurrency=1, max_queue=0))
    assert await engine.call(10) == 55


@pytest.mark.guarantee("M-12")
async def test_call_beyond_the_memory_for_requests_is_told_so(make_engine: EngineMaker) -> None:
    async def handler(request: str) -> AsyncGenerator[int, None]:
        yield len(request)
        await asyncio.Event().wait()

    engine = make_engine(handler, flow=FlowConfig(max_held_bytes=1000, max_queue=0))
    body = encode("x" * 2000)
    async with engine(body, encoded="msgpack") as first:
        assert await anext(first) == 2000
        said = r": 1 run and hold \d+ of 1000 bytes of requests \(max_held_bytes\), 0 of 0 wait \(max_queue\)$"
        with pytest.raises(Overloaded, match=said):
            await anext(engine(body, encoded="msgpack"))


@pytest.mark.guarantee("M-12")
async def test_waiting_request_may_start_when_another_turns_out_to_need_less_memory(make_engine: EngineMaker) -> None:
    async def handler(request: str) -> AsyncGenerator[int, None]:
        yield len(request)
        await asyncio.Event().wait()

    engine = make_engine(handler, flow=FlowConfig(max_held_bytes="1MiB"))
    body = encode("x" * 100_000)
    async with engine(body, encoded="msgpack") as first, engine(body, encoded="msgpack") as second:
        assert await anext(first) == 100_000
        assert await asyncio.wait_for(anext(second), 10) == 100_000
