"""Whatever is dropped, wherever it is, is closed: once, soon, quietly, and without the collector."""

from __future__ import annotations

import asyncio
import gc
import random
import types
from collections import Counter
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from pybridge import FlowConfig

from support.consumers import collect, take
from support.engines import EngineMaker
from support.logs import reports
from support.processes import PythonRunner
from support.waiting import turns, until


@pytest.mark.guarantee("C-02")
async def test_dropped_at_any_point_the_cleanup_runs_exactly_once(
    make_engine: EngineMaker, caplog: pytest.LogCaptureFixture
) -> None:
    """1,000 random points in all of the loops' runs, on each kind of worker; nothing is logged."""
    begun: Counter[int] = Counter()
    cleaned: Counter[int] = Counter()

    async def handler(request: int) -> AsyncGenerator[Any, None]:
        chance = random.Random(request)
        begun[request] += 1
        try:
            for number in range(chance.randrange(12)):
                match chance.randrange(4):
                    case 0:
                        await asyncio.sleep(0)
                    case 1:
                        await asyncio.sleep(0.0001)
                yield {"n": number, "pad": "x" * chance.choice([1, 3_000])}
        finally:
            cleaned[request] += 1
            await asyncio.sleep(0)

    engine = make_engine(handler, flow=FlowConfig(high_water_items=6))

    async def consume(seed: int) -> None:
        chance = random.Random(-seed - 1)
        stream = engine(seed)
        for _ in range(chance.randrange(8)):
            pending = asyncio.ensure_future(stream.__anext__())
            await turns(chance.randrange(4))
            if chance.random() < 0.2:
                pending.cancel()
            try:
                await pending
            except StopAsyncIteration:
                break
            except asyncio.CancelledError:
                pass
        match chance.randrange(4):
            case 0:
                await stream.aclose()
            case 1:
                await asyncio.gather(stream.aclose(), stream.aclose())
            case 2:
                async with stream:
                    pass
        del stream

    for first in range(0, 170, 34):
        await asyncio.gather(*(consume(first + offset) for offset in range(34)))
    await until(lambda: engine.stats().streams.live == 0, "all streams have ended")
    await until(lambda: begun == cleaned, lambda: f"cleanups: {cleaned} of {begun}")
    assert set(cleaned.values()) == {1}
    assert engine.stats().streams.raised == 0
    assert reports(caplog) == []


@pytest.mark.guarantee("C-02")
async def test_dropped_streams_are_closed_without_the_collector(make_engine: EngineMaker, collector_off: None) -> None:
    opened = [0]

    async def handler(request: object) -> AsyncGenerator[int, None]:
        opened[0] += 1
        try:
            while True:
                yield 1
                await asyncio.sleep(0)
        finally:
            opened[0] -= 1

    engine = make_engine(handler)
    for _ in range(10):
        streams = [engine(None) for _ in range(20)]
        await asyncio.gather(*(take(stream, 1) for stream in streams))
        streams.clear()
        await until(lambda: opened[0] == 0, "all handlers have closed")
    await until(lambda: engine.stats().streams.live == 0, "all streams have ended")
    assert [thing for thing in gc.get_objects() if isinstance(thing, types.AsyncGeneratorType)] == []


@pytest.mark.guarantee("S-23")
async def test_running_streams_survive_a_full_collection_at_every_turn(
    make_engine: EngineMaker, caplog: pytest.LogCaptureFixture
) -> None:
    """200 streams on each kind of worker; "Task was destroyed but it is pending" would be logged."""

    async def handler(request: int) -> AsyncGenerator[int, None]:
        for index in range(3):
            await asyncio.sleep(0)
            yield request + index

    engine = make_engine(handler)
    for first in range(0, 200, 100):
        requests = range(first, first + 100)
        consumers = [asyncio.create_task(collect(engine(request))) for request in requests]
        while not all(consumer.done() for consumer in consumers):
            gc.collect()
            await asyncio.sleep(0)
        assert [consumer.result() for consumer in consumers] == [[n, n + 1, n + 2] for n in requests]
    assert reports(caplog) == []


@pytest.mark.guarantee("C-02")
def test_streams_dropped_to_the_collector_on_uvloop_in_debug_mode_are_closed_quietly(run_python: PythonRunner) -> None:
    """Cycles, freed on whatever thread allocates; nothing is printed, nothing is left."""
    run_python(
        """
        import asyncio, gc
        import uvloop
        from pybridge import PooledEngine, Worker

        STREAMS = 200
        closed = []

        async def handler(request):
            try:
                while True:
                    yield [request]
                    await asyncio.sleep(0)
            finally:
                closed.append(request)

        async def main():
            assert asyncio.get_running_loop().get_debug()
            for engine in engines:
                for number in range(STREAMS):
                    ring = [engine(number)]
                    ring.append(ring)
                    assert await anext(ring[0]) == [number]
                    del ring
                gc.collect()
            while any(engine.stats().streams.live for engine in engines):
                await asyncio.sleep(0.001)

        gc.set_threshold(50)
        engines = [PooledEngine(handler, worker=worker) for worker in ("attached", Worker(loop="uvloop"))]
        with asyncio.Runner(debug=True, loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())
        assert sorted(closed) == sorted([*range(STREAMS)] * 2), len(closed)
        """
    )
