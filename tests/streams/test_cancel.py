"""Cancelled at any point a handler is told once, cleans up once, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from pybridge import Context, FlowConfig, PooledEngine, StreamCancelled

from support.consumers import collect, take
from support.engines import EngineMaker
from support.waiting import turns, until, wait_until


@pytest.mark.guarantee("C-05")
async def test_cancelled_before_the_first_step_the_handler_is_never_called(make_engine: EngineMaker) -> None:
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


@pytest.mark.guarantee("C-05")
async def test_closed_where_it_waits_for_a_place_the_handler_is_never_called(make_engine: EngineMaker) -> None:
    called: list[int] = []

    async def handler(request: int) -> AsyncGenerator[int, None]:
        called.append(request)
        yield request
        await asyncio.Event().wait()

    engine = make_engine(handler, flow=FlowConfig(max_concurrency=1))
    async with engine(1) as first:
        assert await anext(first) == 1
        async with engine(2):
            assert engine.stats().streams.queued == 1
    assert called == [1]


@pytest.mark.guarantee("C-03")
@pytest.mark.parametrize("point", ["await", "yield", "loop"])
async def test_cancel_is_one_cancelled_error_wherever_the_handler_is(make_engine: EngineMaker, point: str) -> None:
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


@pytest.mark.guarantee("C-04")
async def test_watcher_sees_the_cancel_before_the_handler(make_engine: EngineMaker) -> None:
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


@pytest.mark.guarantee("C-01")
@pytest.mark.parametrize("way", ["break", "del", "aclose", "async with", "exception"])
async def test_every_way_to_leave_is_the_same_to_the_handler(make_engine: EngineMaker, way: str) -> None:
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


@pytest.mark.guarantee("C-15")
async def test_late_commands_of_ended_streams_do_not_reach_new_ones(make_engine: EngineMaker) -> None:

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

    if asyncio.get_running_loop().get_task_factory():
        # The frames of what an eager task raises lead to those of its maker: without a bridge as well.
        gc.collect()

    def alive() -> list[object]:
        return [thing for thing in gc.get_objects() if isinstance(thing, Request)]

    await until(lambda: not alive(), lambda: f"still alive: {alive()}")


async def test_who_waits_for_the_cancellation_learns_of_it_though_the_grace_passed_first() -> None:
    """The loop stands still until the stream has ended without its handler."""
    contexts: list[Context] = []

    async def handler(request: object, context: Context) -> AsyncGenerator[int, None]:
        contexts.append(context)
        yield 1
        await asyncio.Event().wait()

    engine = PooledEngine(handler, worker="attached", flow=FlowConfig(cancel_grace=0))
    stream = engine(None)
    assert await anext(stream) == 1
    (context,) = contexts
    waiter = asyncio.ensure_future(context.wait_cancelled())
    await turns(1)
    context.cancel()
    wait_until(lambda: engine.stats().streams.close_timeout, "the grace is over")
    assert await asyncio.wait_for(waiter, 10) is True
    with pytest.raises(StreamCancelled):
        await anext(stream)
