"""Awaitables of streams, contexts and engines are coroutines wherever asyncio takes one."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import sys
import time
import types
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator
from typing import Any

import pytest

from pybridge import Context, PooledEngine, Stream, StreamCancelled

from support.consumers import collect
from support.engines import EngineMaker
from support.loops import skip_without_eager_tasks
from support.waiting import turns, until


class Waits:
    """A handler that gives one item and waits until it is cancelled; keeps its context."""

    context: Context

    async def __call__(self, request: object, context: Context) -> AsyncGenerator[int, None]:
        self.context = context
        yield 0
        await asyncio.Event().wait()


async def in_task_group(coroutine: Coroutine[Any, Any, Any]) -> Any:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(coroutine)
    return task.result()


async def gathered(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return (await asyncio.gather(coroutine))[0]


async def in_eager_task(coroutine: Coroutine[Any, Any, Any]) -> Any:
    event_loop = asyncio.get_running_loop()
    factory = event_loop.get_task_factory()
    event_loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]  # from 3.12 on
    try:
        task = asyncio.create_task(coroutine)
    finally:
        event_loop.set_task_factory(factory)
    return await task


WAYS: dict[str, Callable[[Any], Any]] = {
    "create_task": asyncio.create_task,
    "TaskGroup": in_task_group,
    "gather": gathered,
    "shield": asyncio.shield,
    "wait_for": lambda coroutine: asyncio.wait_for(coroutine, 10),
    "ensure_future": asyncio.ensure_future,
    "run_coroutine_threadsafe": lambda coroutine: asyncio.wrap_future(
        asyncio.run_coroutine_threadsafe(coroutine, asyncio.get_running_loop())
    ),
}
if sys.version_info >= (3, 12):
    WAYS["eager task"] = in_eager_task
if sys.version_info >= (3, 14):
    WAYS["eager start"] = functools.partial(asyncio.create_task, eager_start=True)


@pytest.mark.guarantee("S-19")
@pytest.mark.parametrize("way", WAYS)
async def test_asyncio_takes_every_coroutine_of_ours(make_engine: EngineMaker, way: str) -> None:
    if way == "eager task":
        await skip_without_eager_tasks()
    handler = Waits()
    run = WAYS[way]
    engine = make_engine(handler)
    stream = engine(None)
    made: list[Any] = [stream.__aenter__(), anext(stream), stream.aclose(), engine.aclose()]
    assert all(asyncio.iscoroutine(coroutine) and inspect.isawaitable(coroutine) for coroutine in made)
    assert await run(made[0]) is stream
    assert await run(made[1]) == 0
    watching = asyncio.ensure_future(handler.context.wait_cancelled())
    assert await run(made[2]) is None
    assert await asyncio.wait_for(watching, 10) is True
    assert await run(handler.context.wait_cancelled()) is True
    assert await run(stream.__aexit__(None, None, None)) is None
    assert await run(made[3]) is None


def coroutines() -> int:
    """Coroutines made in Rust that are alive."""
    return sum(type(thing).__name__ == "Awaited" for thing in gc.get_objects())


async def test_wait_for_a_cancel_is_a_coroutine_that_may_be_left_unawaited(make_engine: EngineMaker) -> None:
    """Like that of `asyncio.Event.wait()`, but without a warning: nothing is lost."""
    handler = Waits()
    async with make_engine(handler)(None) as stream:
        await anext(stream)
        before = coroutines()
        for _ in range(1000):
            handler.context.wait_cancelled()
        assert coroutines() == before
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(handler.context.wait_cancelled(), 0.001)
        answers = asyncio.gather(*(handler.context.wait_cancelled() for _ in range(3)))
        await turns(1)
    assert await answers == [True, True, True]


def state_of(coroutine: Any) -> str:
    """What `inspect` says, which from Python 3.15 on is what the coroutine says itself."""
    state = inspect.getcoroutinestate(coroutine)
    assert coroutine.cr_state == state
    return state


@pytest.mark.parametrize("operation", ["anext", "wait_cancelled"])
async def test_state_of_a_coroutine_can_be_inspected(make_engine: EngineMaker, operation: str) -> None:
    handler = Waits()
    async with make_engine(handler)(None) as stream:
        await anext(stream)
        coroutine: Any = anext(stream) if operation == "anext" else handler.context.wait_cancelled()
        assert state_of(coroutine) == inspect.CORO_CREATED
        task = asyncio.create_task(coroutine)
        await turns(2)
        assert state_of(coroutine) == inspect.CORO_SUSPENDED
        assert not coroutine.cr_running
        assert isinstance(coroutine.cr_code, types.CodeType)
        assert coroutine.cr_await is task._fut_waiter  # type: ignore[attr-defined]
        assert asyncio.isfuture(coroutine.cr_await)
        assert [frame.f_code for frame in task.get_stack()] == [coroutine.cr_code]
        assert operation in repr(task)
        task.cancel()
        await turns(2)
        assert state_of(coroutine) == inspect.CORO_CLOSED
        assert coroutine.cr_frame is coroutine.cr_await is None


async def test_state_of_a_streams_own_coroutine_can_be_inspected() -> None:
    found: list[str] = []

    async def handler(request: object) -> AsyncGenerator[int, None]:
        task = asyncio.current_task()
        assert task is not None
        coroutine: Any = task.get_coro()
        found.append(state_of(coroutine))
        tasks.append((task, coroutine))
        yield 0
        await asyncio.Event().wait()

    tasks: list[Any] = []
    stream = PooledEngine(handler, worker="attached")(None)
    await anext(stream)
    ((task, coroutine),) = tasks
    await until(lambda: coroutine.cr_await is not None, "the handler waits")
    found.append(state_of(coroutine))
    assert task.get_stack()
    await stream.aclose()
    await until(task.done, "the task is done")
    found.append(state_of(coroutine))
    assert found == [inspect.CORO_RUNNING, inspect.CORO_SUSPENDED, inspect.CORO_CLOSED]


async def test_coroutine_that_runs_or_has_run_refuses_another_step() -> None:
    stream = PooledEngine(Waits(), worker="attached")(None)
    coroutine = anext(stream)
    assert await coroutine == 0
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        await coroutine
    await stream.aclose()


async def test_deadline_is_one_number_on_the_clock_of_monotonic(make_engine: EngineMaker) -> None:
    handler = Waits()
    before = time.monotonic()
    async with make_engine(handler)(None, timeout=100) as stream:
        await anext(stream)
        after = time.monotonic()
        reads = {handler.context.deadline for _ in range(10)}
        await turns(5)
        reads |= {handler.context.deadline for _ in range(10)}
    (deadline,) = reads
    assert deadline is not None
    assert before + 99.99 < deadline < after + 100.01


async def test_deadline_that_has_passed_is_told_as_it_was(make_engine: EngineMaker) -> None:
    handler = Waits()
    stream = make_engine(handler)(None, timeout=0.2)
    asked = time.monotonic()
    assert await anext(stream) == 0
    with pytest.raises(StreamCancelled):
        await anext(stream)
    await turns(1)
    deadline = handler.context.deadline
    assert deadline is not None
    assert deadline < time.monotonic()
    assert deadline - asked < 5


@types.coroutine
def later(value: object) -> Generator[Any, Any, Any]:
    yield from asyncio.sleep(0).__await__()
    return value


class ByGenerators:
    """An async iterator whose `__anext__` gives generator-based coroutines."""

    def __init__(self, count: int) -> None:
        self.left = count

    def __aiter__(self) -> AsyncIterator[int]:
        return self

    @types.coroutine
    def __anext__(self) -> Generator[Any, Any, int]:
        yield from asyncio.sleep(0).__await__()
        if not self.left:
            raise StopAsyncIteration
        self.left -= 1
        return self.left


async def test_generator_based_coroutines_work_as_in_a_plain_loop(make_engine: EngineMaker) -> None:
    @types.coroutine
    def returns_iterator(request: int) -> Generator[Any, Any, ByGenerators]:
        yield from asyncio.sleep(0).__await__()
        return ByGenerators(request)

    def returns_awaitable(request: object) -> Any:
        return later(request)

    def iterates(request: int) -> ByGenerators:
        return ByGenerators(request)

    expected = [item async for item in ByGenerators(3)]
    assert await collect(make_engine(iterates)(3)) == expected
    assert await collect(make_engine(returns_iterator)(3)) == expected
    assert await make_engine(later, unary=True).call(7) == await later(7)
    assert await make_engine(returns_awaitable, unary=True).call(7) == 7


def test_plain_generators_are_no_coroutines() -> None:
    def handler(request: object) -> Generator[int, None, None]:
        yield 1

    with pytest.raises(TypeError, match="synchronous generator"):
        PooledEngine(handler)


@pytest.mark.guarantee("S-23")
@pytest.mark.parametrize("worker", ["attached", "dedicated"])
async def test_task_that_nobody_holds_is_no_garbage_while_it_waits_for_a_stream(worker: Any) -> None:
    """As with a plain generator, whose timers and sockets hold the task."""
    handler, items = Waits(), list[Any]()
    engine = PooledEngine(handler, worker=worker)

    async def read() -> None:
        try:
            async for item in engine(None):
                items.append(item)
        except StreamCancelled as cancelled:
            items.append(cancelled.reason)

    asyncio.create_task(read())  # noqa: RUF006  # nobody holds it
    await until(lambda: items == [0], "the first item")
    await turns(3)
    gc.collect()
    handler.context.cancel()
    await until(lambda: items == [0, "caller"], "the ending")
    await engine.aclose()


class Local:
    """Something that a task holds."""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("operation", ["anext", "aclose", "wait_cancelled", "engine.aclose"])
@pytest.mark.parametrize("worker", ["attached", "dedicated"])
def test_task_that_waits_on_a_closed_loop_is_collected_with_all_it_holds(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], operation: str, worker: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """`asyncio.run` cancels what waits; a loop that is only closed does not."""
    caplog.set_level("CRITICAL", "asyncio")  # it says that a pending task was destroyed, which is so
    handler, engine, alive = prepare(worker)

    async def wait(stream: Stream[int]) -> None:
        local = Local()
        alive["local"] = weakref.ref(local)
        match operation:
            case "anext":
                await anext(stream)
            case "aclose":
                await stream.aclose()
            case "wait_cancelled":
                await handler.context.wait_cancelled()
            case "engine.aclose":
                await engine.aclose()

    def run() -> None:
        event_loop = loop_factory()
        event_loop.set_debug(False)
        stream = engine(None)
        event_loop.run_until_complete(anext(stream))
        task = event_loop.create_task(wait(stream))
        event_loop.run_until_complete(turns(3))
        assert not task.done()
        alive["loop"], alive["task"] = weakref.ref(event_loop), weakref.ref(task)
        event_loop.close()

    run()
    gc.collect()
    assert {name: reference() for name, reference in alive.items() if reference() is not None} == {}
    handler.finish()


def prepare(worker: Any) -> tuple[Any, PooledEngine, dict[str, Any]]:
    """An engine whose handler does not end before it is told to, though it is cancelled."""

    class Stubborn:
        context: Context

        def __init__(self) -> None:
            self.finished = False

        def finish(self) -> None:
            self.finished = True

        async def __call__(self, request: object, context: Context) -> AsyncGenerator[int, None]:
            self.context = context
            yield 0
            while not self.finished:
                try:
                    await asyncio.sleep(0.01)
                except asyncio.CancelledError:
                    if context.cancel_reason == "external":
                        raise

    handler = Stubborn()
    return handler, PooledEngine(handler, worker=worker), {}
