"""Cancelled at any point a handler is told once, cleans up once, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import random
import types
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from pybridge import Context, FlowConfig, StreamCancelled

from support.consumers import collect, take
from support.engines import EngineMaker
from support.waiting import turns, until


@pytest.mark.timeout(60)
async def test_dropped_at_any_point_the_cleanup_runs_exactly_once(make_engine: EngineMaker) -> None:
    """T-20: 1,000 random points in all of `asyncio` and `uvloop` runs, on each kind of worker."""
    begun, cleaned = [0], [0]

    async def handler(request: int) -> AsyncGenerator[Any, None]:
        chance = random.Random(request)
        begun[0] += 1
        try:
            for number in range(chance.randrange(12)):
                match chance.randrange(4):
                    case 0:
                        await asyncio.sleep(0)
                    case 1:
                        await asyncio.sleep(0.0001)
                yield {"n": number, "pad": "x" * chance.choice([1, 3_000])}
        finally:
            cleaned[0] += 1
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
        match chance.randrange(3):
            case 0:
                await stream.aclose()
            case 1:
                await asyncio.gather(stream.aclose(), stream.aclose())
        del stream

    for first in range(0, 170, 34):
        await asyncio.gather(*(consume(first + offset) for offset in range(34)))
    await until(lambda: engine.stats().streams.live == 0, "all streams have ended")
    await until(lambda: begun == cleaned, lambda: f"cleanups: {cleaned} of {begun}")
    assert engine.stats().streams.raised == 0


async def test_cancelled_before_the_first_step_the_handler_is_never_called(make_engine: EngineMaker) -> None:
    """S-05"""

    async def handler(request: object) -> AsyncGenerator[int, None]:
        called.append(1)
        yield 1

    called: list[int] = []
    engine = make_engine(handler)
    stream = engine(None, timeout=0)
    with pytest.raises(StreamCancelled) as caught:
        await anext(stream)
    assert caught.value.reason == "deadline"
    stream = engine(None)
    await stream.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    assert not called


@pytest.mark.parametrize("point", ["await", "yield", "loop"])
async def test_cancel_is_one_cancelled_error_wherever_the_handler_is(make_engine: EngineMaker, point: str) -> None:
    """T-35, T-32, S-03, S-04"""
    seen: list[str] = []

    async def handler(request: str, context: Context) -> AsyncGenerator[int, None]:
        try:
            yield 0
            if request == "await":
                await asyncio.Event().wait()
            while request == "loop":  # noqa: ASYNC110 - it looks at nothing
                await asyncio.sleep(0.001)
            while True:
                yield 1
        except BaseException as error:
            seen.append(f"{type(error).__name__} {context.cancelled}")
            raise

    engine = make_engine(handler, flow=FlowConfig(high_water_items=4))
    async with engine(point) as stream:
        assert await anext(stream) == 0
        if point == "yield":
            await until(lambda: engine.stats().flow.waits, "the handler is parked")
    assert seen == ["CancelledError True"]


async def test_watcher_sees_the_cancel_before_the_handler(make_engine: EngineMaker) -> None:
    """T-32"""
    log: list[str] = []

    async def watch(context: Context) -> None:
        assert await context.wait_cancelled()
        log.append(f"watcher {context.cancel_reason}")

    async def handler(request: object, context: Context) -> AsyncGenerator[int, None]:
        watcher = asyncio.create_task(watch(context))
        try:
            yield 1
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            assert context.cancelled
            await watcher
            log.append("handler")
            raise

    async with make_engine(handler)(None) as stream:
        await anext(stream)
    assert log == ["watcher caller", "handler"]


@pytest.mark.parametrize("way", ["break", "del", "aclose", "async with", "exception"])
async def test_every_way_to_leave_is_the_same_to_the_handler(make_engine: EngineMaker, way: str) -> None:
    """T-31"""
    reasons: list[str | None] = []

    async def handler(request: object, context: Context) -> AsyncGenerator[int, None]:
        try:
            while True:
                yield 1
                await asyncio.sleep(0)
        finally:
            reasons.append(context.cancel_reason)

    engine = make_engine(handler)
    match way:
        case "break":
            async for _ in engine(None):
                break
        case "del":
            stream = engine(None)
            await anext(stream)
            del stream
        case "aclose":
            stream = engine(None)
            await anext(stream)
            await stream.aclose()
        case "async with":
            async with engine(None) as stream:
                await anext(stream)
        case "exception":
            with pytest.raises(KeyError):
                async with engine(None) as stream:
                    await anext(stream)
                    raise KeyError
    await until(lambda: reasons, "the handler has cleaned up")
    assert reasons == ["caller"]
    await until(lambda: engine.stats().streams.cancelled["caller"] == 1, "the ending is counted")


async def test_handler_that_swallows_the_cancel_is_left_to_itself(make_engine: EngineMaker) -> None:
    """T-36, S-29"""
    made: list[int] = []

    async def handler(request: object) -> AsyncGenerator[int, None]:
        yield 0
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            for number in range(1_000):
                made.append(number)
                yield number
                await asyncio.sleep(0.001)

    engine = make_engine(handler, flow=FlowConfig(cancel_grace=0.1))
    stream = engine(None, timeout=0.05)
    assert await anext(stream) == 0
    with pytest.raises(StreamCancelled) as caught:
        await collect(stream)
    assert caught.value.reason == "deadline"
    streams = engine.stats().streams
    assert (streams.close_timeout, streams.live) == (1, 0)
    assert made


@pytest.mark.parametrize("way", ["ignored", "timeout", "error"])
async def test_handler_that_does_not_let_itself_be_closed_is_counted(make_engine: EngineMaker, way: str) -> None:
    """T-24, S-27"""
    release: list[Any] = []

    async def handler(request: str) -> AsyncGenerator[Any, None]:
        try:
            yield object() if request == "ignored" else 0
            await asyncio.Event().wait()
        finally:
            match request:
                case "ignored":
                    yield "again"
                case "timeout":
                    event = asyncio.Event()
                    release.append((asyncio.get_running_loop(), event))
                    try:
                        await event.wait()
                    except asyncio.CancelledError:
                        await event.wait()
                case "error":
                    raise OSError("cleanup")

    engine = make_engine(handler, flow=FlowConfig(cancel_grace=0.1))
    stream = engine(way)
    if way == "ignored":
        with pytest.raises(TypeError):
            await collect(stream)
    else:
        assert await anext(stream) == 0
        await stream.aclose()
    streams = engine.stats().streams
    counts = {"ignored": streams.close_ignored, "timeout": streams.close_timeout, "error": streams.close_error}
    assert counts == {name: int(name == way) for name in counts}
    assert streams.live == 0
    for loop, event in release:
        loop.call_soon_threadsafe(event.set)


@pytest.mark.timeout(60)
async def test_dropped_streams_are_closed_without_the_collector(make_engine: EngineMaker, collector_off: None) -> None:
    """T-18"""
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
        streams = [engine(None) for _ in range(100)]
        await asyncio.gather(*(take(stream, 1) for stream in streams))
        streams.clear()
        await until(lambda: opened[0] == 0, "all handlers have closed")
    await until(lambda: engine.stats().streams.live == 0, "all streams have ended")
    assert [thing for thing in gc.get_objects() if isinstance(thing, types.AsyncGeneratorType)] == []


async def test_driving_tasks_survive_the_collector(make_engine: EngineMaker) -> None:
    """T-21"""

    async def handler(request: object) -> AsyncGenerator[int, None]:
        for number in range(3):
            await asyncio.sleep(0)
            yield number

    engine = make_engine(handler)
    consumers = [asyncio.create_task(collect(engine(None))) for _ in range(80)]
    while not all(consumer.done() for consumer in consumers):
        gc.collect()
        await asyncio.sleep(0)
    assert [consumer.result() for consumer in consumers] == [[0, 1, 2]] * 80


async def test_late_commands_of_ended_streams_do_not_reach_new_ones(make_engine: EngineMaker) -> None:
    """T-42, short form"""

    async def handler(request: int) -> AsyncGenerator[int, None]:
        yield request
        yield request + 1

    engine = make_engine(handler, flow=FlowConfig(high_water_items=1))
    contexts: list[Any] = []
    for number in range(300):
        stream = engine(number)
        assert await take(stream, 1 + number % 2) == [number, number + 1][: 1 + number % 2]
        contexts.append(stream)
        if number % 3:
            del stream
            contexts.pop()
        assert await collect(engine(-number)) == [-number, 1 - number]
    contexts.clear()


async def test_second_aclose_waits_for_the_ending_too(make_engine: EngineMaker) -> None:
    release: list[Any] = []
    over: list[int] = []

    async def handler(request: object) -> AsyncGenerator[int, None]:
        event = asyncio.Event()
        release.append((asyncio.get_running_loop(), event))
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            await event.wait()
            over.append(1)

    stream = make_engine(handler)(None)
    await anext(stream)
    closers = [asyncio.ensure_future(stream.aclose()) for _ in range(3)]
    await turns(3)
    closers[0].cancel()
    await turns(3)
    assert not any(closer.done() for closer in closers[1:])
    for loop, event in release:
        loop.call_soon_threadsafe(event.set)
    await asyncio.gather(*closers[1:])
    assert over == [1]


async def test_failed_stream_with_a_context_keeps_nothing_alive(make_engine: EngineMaker, collector_off: None) -> None:
    class Request:
        pass

    async def handler(request: Request, context: Context) -> AsyncGenerator[int, None]:
        yield 1
        raise ValueError(context.id)

    async def fail(engine: Any) -> None:
        with pytest.raises(ValueError):  # noqa: PT011 - raised right above
            await collect(engine(Request()))
        stream = engine(Request())
        await anext(stream)

    engine = make_engine(handler)
    await fail(engine)
    await until(lambda: engine.stats().streams.live == 0, "the dropped one has ended")

    def alive() -> list[object]:
        return [thing for thing in gc.get_objects() if isinstance(thing, Request)]

    await until(lambda: not alive(), lambda: f"still alive: {alive()}")
