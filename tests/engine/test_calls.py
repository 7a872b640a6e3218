"""`await engine.call(request)`: one coroutine that waits for the one item and the end of its handler."""

from __future__ import annotations

import asyncio
import gc
import inspect
import traceback
import weakref
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from pybridge import Context, EncodeError, PooledEngine, StreamCancelled

from support.engines import EngineMaker
from support.waiting import turns, until


class Cleans:
    """A handler that waits until it is cancelled, and then for leave to end."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.reason: str | None = None
        self.leave = False

    async def __call__(self, request: object, context: Context) -> None:
        try:
            self.started.set()
            await asyncio.Event().wait()
        finally:
            self.reason = context.cancel_reason
            await until(lambda: self.leave, "leave to end")


async def answer(request: object) -> object:
    return request


async def gather_one(coroutine: Any) -> Any:
    return (await asyncio.gather(coroutine))[0]


async def in_group(coroutine: Any) -> Any:
    async with asyncio.TaskGroup() as group:
        return await group.create_task(coroutine)


WAYS: dict[str, Callable[[Any], Any]] = {
    "create_task": asyncio.create_task,
    "TaskGroup": in_group,
    "gather": gather_one,
    "shield": asyncio.shield,
    "wait_for": lambda coroutine: asyncio.wait_for(coroutine, 10),
    "ensure_future": asyncio.ensure_future,
}


@pytest.mark.guarantee("S-19")
@pytest.mark.parametrize("way", WAYS)
async def test_asyncio_takes_a_call_as_a_coroutine(make_engine: EngineMaker, way: str) -> None:
    engine = make_engine(answer, unary=True)
    assert inspect.iscoroutinefunction(engine.call)
    assert await WAYS[way](engine.call({"a": 1})) == {"a": 1}


async def test_state_of_a_call_can_be_inspected() -> None:
    handler = Cleans()
    call: Any = PooledEngine(handler, unary=True, worker="attached").call(None)
    assert inspect.getcoroutinestate(call) == inspect.CORO_CREATED
    task = asyncio.create_task(call)
    await handler.started.wait()
    assert inspect.getcoroutinestate(call) == inspect.CORO_SUSPENDED
    inner: Any = call.cr_await
    assert inspect.getcoroutinestate(inner) == inspect.CORO_SUSPENDED
    assert (inner.__name__, inner.__qualname__) == ("call", "Engine.call")
    assert inner.cr_await is task._fut_waiter  # type: ignore[attr-defined]
    handler.leave = True
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert inspect.getcoroutinestate(call) == inspect.getcoroutinestate(inner) == inspect.CORO_CLOSED


async def test_call_that_is_never_awaited_is_told_of_and_does_nothing() -> None:
    engine = PooledEngine(answer, unary=True, worker="attached")
    with pytest.warns(RuntimeWarning, match="coroutine 'PooledEngine.call' was never awaited"):
        engine.call(None)  # type: ignore[unused-coroutine]
    assert engine.stats().streams.started == 0


async def test_cancelled_call_ends_after_its_handler(make_engine: EngineMaker) -> None:
    handler = Cleans()
    engine = make_engine(handler, unary=True)
    task = asyncio.create_task(engine.call(None))
    await until(handler.started.is_set, "the handler runs")
    task.cancel()
    await until(lambda: handler.reason, "the handler cleans up")
    await turns(3)
    assert (handler.reason, task.done()) == ("caller", False)
    handler.leave = True
    with pytest.raises(asyncio.CancelledError):
        await task
    assert engine.stats().streams.cancelled["caller"] == 1


async def test_call_that_is_cancelled_again_waits_no_longer(make_engine: EngineMaker) -> None:
    handler = Cleans()
    engine = make_engine(handler, unary=True)
    task = asyncio.create_task(engine.call(None))
    await until(handler.started.is_set, "the handler runs")
    task.cancel("first")
    await until(lambda: handler.reason, "the handler cleans up")
    task.cancel("second")
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert caught.value.args == ("second",)
    assert isinstance(caught.value.__context__, asyncio.CancelledError)
    assert caught.value.__context__.args == ("first",)
    handler.leave = True
    await until(lambda: engine.stats().streams.live == 0, "the handler has ended")


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "dropped"])
async def test_call_that_is_closed_or_dropped_cancels_its_handler(closed: bool) -> None:
    handler = Cleans()
    handler.leave = True
    engine = PooledEngine(handler, unary=True, worker="attached")
    call = engine.call(None)
    call.send(None)
    await handler.started.wait()
    if closed:
        call.close()
    else:
        del call
    await until(lambda: engine.stats().streams.live == 0, "the handler has ended")
    assert handler.reason == "caller"


@pytest.mark.guarantee("H-05")
async def test_call_gives_exactly_one_item_or_raises(make_engine: EngineMaker) -> None:
    ended: list[int] = []

    async def handler(request: int) -> AsyncGenerator[int, None]:
        try:
            for number in range(request):
                yield number
            if request > 1:
                await asyncio.Event().wait()
        finally:
            ended.append(request)

    engine = make_engine(handler, name="counted")
    assert await engine.call(1) == 0
    with pytest.raises(ValueError, match="counted gave no item"):
        await engine.call(0)
    for many in (2, 1000):
        with pytest.raises(ValueError, match=r"counted gave more than one item: iterate over engine\(request\)"):
            await engine.call(many)
    assert ended == [1, 0, 2, 1000], "a handler has ended before its call raises"


@pytest.mark.guarantee("H-05")
async def test_call_waits_for_the_end_of_its_handler(make_engine: EngineMaker) -> None:
    steps: list[str] = []

    async def handler(request: object) -> AsyncGenerator[object, None]:
        yield request
        await asyncio.sleep(0.01)
        steps.append("end")

    assert await make_engine(handler).call(None) is None
    assert steps == ["end"]

    async def fails_late(request: object) -> AsyncGenerator[object, None]:
        yield request
        raise LookupError("late")

    with pytest.raises(LookupError, match="late"):
        await make_engine(fails_late).call(None)


async def test_failure_of_a_call_shows_its_caller_and_its_handler(make_engine: EngineMaker) -> None:
    async def handler(request: object) -> object:
        raise LookupError(request)

    with pytest.raises(LookupError) as caught:
        await make_engine(handler, unary=True).call("it")
    names = [frame.name for frame in traceback.extract_tb(caught.tb)]
    assert [names[0], names[1], names[-1]] == [inspect.currentframe().f_code.co_name, "call", "handler"]  # type: ignore[union-attr]
    assert caught.value.__context__ is None


@pytest.mark.guarantee("H-05")
async def test_answer_that_cannot_be_encoded_ends_the_call(make_engine: EngineMaker) -> None:
    async def handler(request: object) -> object:
        return object()

    engine = make_engine(handler, unary=True)
    with pytest.raises(EncodeError, match="object"):
        await engine.call(None)
    assert engine.stats().streams.live == 0


async def test_call_that_is_too_late_says_so(make_engine: EngineMaker) -> None:
    handler = Cleans()
    handler.leave = True
    engine = make_engine(handler, unary=True)
    with pytest.raises(StreamCancelled) as caught:
        await engine.call(None, timeout=0.01)
    assert caught.value.reason == "deadline"
    assert engine.stats().streams.cancelled["deadline"] == 1


async def test_calls_at_a_time_keep_their_answers_apart(make_engine: EngineMaker) -> None:
    async def handler(request: int) -> int:
        await turns(request % 3)
        return request

    engine = make_engine(handler, unary=True)
    assert await asyncio.gather(*(engine.call(number) for number in range(200))) == list(range(200))


@pytest.mark.parametrize("operation", ["anext", "aclose", "call"])
async def test_coroutine_that_is_done_keeps_nothing(operation: str) -> None:
    class Request:
        pass

    async def handler(request: Request) -> AsyncGenerator[int, None]:
        yield 1

    engine = PooledEngine(handler, worker="attached")
    request = Request()
    kept: list[Any] = [weakref.ref(request)]
    if operation == "call":
        coroutine: Any = engine._core.call(request)
    else:
        stream = engine(request)
        kept.append(weakref.ref(stream))
        coroutine = anext(stream) if operation == "anext" else stream.aclose()
        del stream
    task = asyncio.create_task(coroutine)
    ended_at_once = task.done()
    assert await task in (1, None)
    del request
    await until(lambda: engine.stats().streams.live == 0, "the handler has ended")
    await turns(2)
    gc.collect()
    assert [reference() for reference in kept] == [None] * len(kept)
    # A task that ends while it is made forgets its coroutine, and CPython 3.12.1 crashes when it is asked for it.
    assert ended_at_once or task.get_coro() is coroutine


async def test_reads_share_a_coroutine_only_where_nobody_keeps_it() -> None:
    async def handler(request: int) -> AsyncGenerator[int, None]:
        for number in range(request):
            yield number

    stream = PooledEngine(handler, worker="attached")(100)
    kept = []
    for number in range(10):
        kept.append(anext(stream))
        assert await kept[-1] == number
    assert len({id(coroutine) for coroutine in kept}) == 10
    for coroutine in kept:
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            await coroutine
    # What was made and not awaited yet is not given out again either.
    waiting = [anext(stream) for _ in range(3)]
    assert [await coroutine for coroutine in waiting] == [10, 11, 12]
    assert [number async for number in stream] == list(range(13, 100))


async def test_coroutine_gives_its_result_by_every_way_to_resume_it() -> None:
    made = asyncio.Event()

    async def handler(request: object) -> AsyncGenerator[int, None]:
        for number in range(10):
            yield number
        made.set()

    stream = PooledEngine(handler, worker="attached")(None)
    assert await anext(stream) == 0
    await made.wait()
    for number, resume in enumerate((lambda it: it.send(None), next, lambda it: it.throw(KeyError)), start=1):
        coroutine: Any = anext(stream)
        assert coroutine.__await__() is coroutine is iter(coroutine)
        with pytest.raises((StopIteration, KeyError)) as caught:
            resume(coroutine)
        if number < 3:
            assert isinstance(caught.value, StopIteration)
            assert caught.value.value == number

    def delegates(coroutine: Any) -> Any:
        return (yield from coroutine)

    with pytest.raises(StopIteration) as result:
        next(delegates(anext(stream)))
    assert result.value.value == 3
    with pytest.raises(TypeError, match="non-None"):
        anext(stream).send(1)  # type: ignore[arg-type]
    assert [number async for number in stream] == [4, 5, 6, 7, 8, 9]
