"""A stream never just stops: exactly one ending, of the right kind, after all that was made before it."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

import pybridge
from pybridge import Context, FlowConfig, Limits, StreamCancelled, current_context

from support.consumers import collect
from support.engines import EngineMaker
from support.reference import outcome_of
from support.waiting import until


async def misbehave(request: tuple[int, str]) -> AsyncGenerator[Any, None]:
    """Yields so many items, then does what it is asked to."""
    before, then = request
    for number in range(before):
        yield number
    match then:
        case "raise":
            raise ValueError("asked to")
        case "unencodable":
            yield {"a": [1, object()]}
        case "too deep":
            yield [[[[[[]]]]]]
        case "stop":
            raise StopAsyncIteration
        case "killed":
            task = asyncio.current_task()
            assert task
            task.cancel()
            await asyncio.sleep(0)
        case "cancel":
            current_context().cancel()
            await asyncio.sleep(0)
        case "fine":
            return
    yield "never seen"


ENDINGS = {
    "raise": "ValueError: asked to",
    "unencodable": "EncodeError: cannot encode object; give the codec default= to convert it (at $.a[1])",
    "too deep": "LimitExceeded: ",
    "stop": "RuntimeError: async generator raised StopAsyncIteration",
    "killed": "StreamCancelled: ",
    "cancel": "StreamCancelled: ",
}


@pytest.mark.guarantee("S-03", "S-07")
@pytest.mark.parametrize("before", [0, 1, 200])
@pytest.mark.parametrize("way", ENDINGS)
async def test_failure_is_one_error_after_the_items(make_engine: EngineMaker, way: str, before: int) -> None:
    engine = make_engine(misbehave, limits=Limits(max_depth=4))
    stream = engine((before, way))
    outcome = await outcome_of(stream)
    assert outcome.items == list(range(before))
    assert outcome.ending
    assert outcome.ending.startswith(ENDINGS[way]), outcome.ending
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    assert await collect(engine((3, "fine"))) == [0, 1, 2]
    streams = engine.stats().streams
    cancelled = {"killed": "external", "cancel": "caller"}.get(way)
    assert (streams.finished, streams.raised) == (1, int(cancelled is None))
    assert streams.cancelled.get(cancelled or "", 0) == int(cancelled is not None)


@pytest.mark.guarantee("S-04")
async def test_exception_arrives_as_the_same_object(make_engine: EngineMaker) -> None:
    error = KeyError("lost")

    async def handler(request: object) -> AsyncGenerator[int, None]:
        yield 1
        raise error

    with pytest.raises(KeyError) as caught:
        await collect(make_engine(handler)(None))
    assert caught.value is error


RAISED = [
    ValueError("a"),
    TypeError("a"),
    KeyError("a"),
    IndexError(3),
    OSError(5, "a"),
    ConnectionResetError("a"),
    TimeoutError("a"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "a"),
    ZeroDivisionError("a"),
    AssertionError("a"),
    MemoryError("a"),
    ExceptionGroup("a", [ValueError(1), ExceptionGroup("b", [KeyError(2)])]),
    BaseExceptionGroup("a", [GeneratorExit()]),
    pybridge.InvalidArgument("a"),
    pybridge.PublicError("a", 404, headers={"x-a": "b"}),
    pybridge.Overloaded("a"),
    StreamCancelled("client"),
]


@pytest.mark.guarantee("S-04")
async def test_exception_comes_back_through_nested_calls_as_the_same_object(make_engine: EngineMaker) -> None:
    """A handler can tell what failed two calls below it."""

    async def inner(request: int) -> AsyncGenerator[int, None]:
        yield request
        raise RAISED[request]

    async def middle(request: int) -> AsyncGenerator[int, None]:
        async for item in ends(request):
            yield item

    async def outer(request: int) -> AsyncGenerator[int, None]:
        try:
            async for item in middles(request):
                yield item
        except type(RAISED[request]) as error:
            assert error is RAISED[request]
            raise

    ends, middles, engine = make_engine(inner), make_engine(middle), make_engine(outer)
    for request, error in enumerate(RAISED):
        stream = engine(request)
        assert await anext(stream) == request
        with pytest.raises(type(error)) as caught:
            await anext(stream)
        assert caught.value is error


async def fails_at_once(request: object) -> AsyncGenerator[int, None]:
    yield 1
    raise ValueError("at once")


async def fails_after_waiting(request: object) -> AsyncGenerator[int, None]:
    yield 1
    await asyncio.sleep(0)
    raise ValueError("after waiting")


async def fails_deep_inside(request: object) -> AsyncGenerator[int, None]:
    async for item in fails_after_waiting(request):
        try:
            yield item
        finally:
            await asyncio.sleep(0)


async def fails_to_clean_up(request: object) -> AsyncGenerator[int, None]:
    try:
        yield 1
    finally:
        await asyncio.sleep(0)
        int("not clean")


@pytest.mark.guarantee("S-04")
@pytest.mark.parametrize("handler", [fails_at_once, fails_after_waiting, fails_deep_inside, fails_to_clean_up])
async def test_exception_brings_the_frames_of_the_handler(
    make_engine: EngineMaker, handler: Callable[[object], AsyncGenerator[int, None]]
) -> None:
    def frames(error: ValueError) -> list[str]:
        return [frame.name for frame in traceback.extract_tb(error.__traceback__) if frame.name.startswith("fails")]

    with pytest.raises(ValueError, match=r"at once|after waiting|not clean") as plain:
        async for _ in handler(None):
            pass
    assert frames(plain.value)
    engine = make_engine(handler)
    for stream in (engine(None), engine.frames(None), engine.chunks(None)):
        with pytest.raises(ValueError, match=r"at once|after waiting|not clean") as caught:
            await collect(stream)
        assert frames(caught.value) == frames(plain.value)


@pytest.mark.guarantee("S-03")
async def test_error_that_finds_the_queue_full_is_delivered_behind_it(make_engine: EngineMaker) -> None:
    raised: list[int] = []

    async def handler(request: object) -> AsyncGenerator[int, None]:
        try:
            async with asyncio.timeout(0.05):
                for number in range(100):
                    yield number
        finally:
            raised.append(1)

    engine = make_engine(handler, flow=FlowConfig(high_water_items=8))
    stream = engine(None)
    assert await anext(stream) == 0
    await until(lambda: raised, "the handler has raised")
    outcome = await outcome_of(stream)
    assert outcome.items == list(range(1, len(outcome.items) + 1))
    assert len(outcome.items) >= 8
    assert outcome.ending == "TimeoutError: "


@pytest.mark.guarantee("S-06")
async def test_exception_in_a_normal_end_is_no_clean_end(make_engine: EngineMaker) -> None:
    async def handler(request: object) -> AsyncGenerator[int, None]:
        try:
            yield 1
        finally:
            raise OSError("cleanup")

    assert await outcome_of(make_engine(handler)(None)) == ([1], "OSError: cleanup")


class PanicException(BaseException):
    """As extensions in Rust raise it: no `Exception`, so that nobody catches it by chance."""


@pytest.mark.parametrize("error", [MemoryError, RecursionError, GeneratorExit, PanicException])
async def test_hard_exceptions_are_ordinary_endings(make_engine: EngineMaker, error: type[BaseException]) -> None:
    async def handler(request: object) -> AsyncGenerator[int, None]:
        yield 1
        raise error

    stream = make_engine(handler)(None)
    assert await anext(stream) == 1
    with pytest.raises(error):
        await anext(stream)


@pytest.mark.guarantee("S-09")
async def test_item_that_its_consumer_cannot_decode_ends_the_stream(make_engine: EngineMaker) -> None:
    """An error is an ending, for the handler as well."""
    closed: list[int] = []

    async def handler(request: object) -> AsyncGenerator[object, None]:
        try:
            yield [{}] * 10_000
            yield 1
            await asyncio.Event().wait()
        finally:
            closed.append(1)

    engine = make_engine(handler, limits=Limits(max_decoded_bytes="64KiB"))
    stream = engine(None)
    with pytest.raises(pybridge.LimitExceeded):
        await anext(stream)
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    await until(lambda: closed, "the handler has been closed")
    await until(lambda: engine.stats().streams.cancelled["caller"] == 1, "the ending is counted")


async def reason_of(stream: Any) -> str:
    with pytest.raises(StreamCancelled) as caught:
        await collect(stream)
    return caught.value.reason


@pytest.mark.guarantee("C-06")
@pytest.mark.parametrize("reason", ["caller", "deadline", "idle", "shutdown", "slow_consumer", "external"])
async def test_every_reason_is_the_same_for_all_who_see_it(make_engine: EngineMaker, reason: str) -> None:
    contexts: list[Context] = []
    tasks: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any] | None]] = []

    async def handler(request: object, context: Context) -> AsyncGenerator[Any, None]:
        contexts.append(context)
        tasks.append((asyncio.get_running_loop(), asyncio.current_task()))
        try:
            yield 0
            while request == "produce":
                yield 1
            await asyncio.Event().wait()
        finally:
            seen.append(context.cancel_reason)

    seen: list[str | None] = []
    flow = FlowConfig(high_water_items=4, write_timeout=0.05 if reason == "slow_consumer" else None)
    engine = make_engine(handler, flow=flow)
    options: dict[str, Any] = {"deadline": {"timeout": 0.05}, "idle": {"idle_timeout": 0.05}}.get(reason, {})
    stream = engine("produce" if reason == "slow_consumer" else None, **options)
    assert await anext(stream) == 0
    match reason:
        case "caller":
            contexts[0].cancel()
        case "shutdown":
            await engine.aclose(0)
        case "external":
            loop, task = tasks[0]
            assert task
            loop.call_soon_threadsafe(task.cancel)
        case "slow_consumer":
            await until(lambda: seen, "the handler is cancelled")
    assert await reason_of(stream) == reason
    assert engine.stats().streams.cancelled[reason] == 1
    assert sum(engine.stats().streams.cancelled.values()) == 1
    # A cancellation from outside is known by its reason only once it has ended the stream.
    assert seen == [None if reason == "external" else reason]


@pytest.mark.guarantee("S-12")
async def test_pybridges_errors_from_a_handler_keep_their_class(make_engine: EngineMaker) -> None:
    async def handler(request: object) -> AsyncGenerator[int, None]:
        if request is None:
            raise pybridge.InvalidArgument("bad prompt")
        yield 1

    engine = make_engine(handler)
    with pytest.raises(pybridge.InvalidArgument, match="bad prompt"):
        await collect(engine(None))
    assert engine.stats().errors == {"InvalidArgument": 1}
