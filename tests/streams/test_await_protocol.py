"""Awaitables of a stream follow the protocol of coroutines."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest

from pybridge import Context, Frame, PooledEngine

from support.consumers import collect, take
from support.engines import EngineMaker
from support.gates import Gate, opened_at_gate
from support.waiting import turns, until


@pytest.mark.guarantee("S-19")
async def test_shield_task_group_and_anyio(make_engine: EngineMaker) -> None:
    stream, gate = await opened_at_gate(make_engine)
    shielded = asyncio.ensure_future(stream.__anext__())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(shielded), 0.001)
    gate.allow()
    assert await shielded == 1
    async with asyncio.TaskGroup() as group:
        task = group.create_task(take(stream, 2))
        gate.allow(2)
    assert task.result() == [2, 3]
    with anyio.move_on_after(0.001) as scope:
        await stream.__anext__()
    assert scope.cancelled_caught
    with anyio.fail_after(10):
        gate.allow()
        assert await stream.__anext__() == 4
    gate.allow()
    assert await anyio_first(stream) == 5
    with pytest.raises(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(take(stream, 1))
            await turns(1)
            raise KeyError
    gate.allow()
    assert await anext(stream) == 6
    await stream.aclose()
    assert gate.closed == [1]


async def anyio_first(stream: Any) -> Any:
    async with anyio.create_task_group():
        return await stream.__anext__()


@pytest.mark.guarantee("S-19")
@pytest.mark.parametrize("operation", ["__anext__", "__aenter__", "__aexit__", "aclose"])
async def test_awaitable_follows_the_coroutine_protocol(operation: str) -> None:
    async def handler(request: object) -> AsyncGenerator[int, None]:
        yield 1

    engine = PooledEngine(handler, worker="attached")

    def make() -> Any:
        return getattr(engine(None), operation)()

    unused = make()
    assert unused.__await__() is unused
    unused.close()
    with pytest.raises(RuntimeError, match="already awaited"):
        unused.send(None)
    with pytest.raises(TypeError):
        make().send(1)
    with pytest.raises(KeyError, match="thrown"):
        make().throw(KeyError("thrown"))
    with pytest.raises(KeyError, match="thrown"):
        make().throw(KeyError, KeyError("thrown"))
    used = make()
    await used
    with pytest.raises(RuntimeError, match="already awaited"):
        await used
    assert engine.stats().streams.started <= 2


async def test_pending_wait_can_be_closed_and_is_a_future_to_asyncio() -> None:
    async def handler(request: object) -> AsyncGenerator[int, None]:
        await asyncio.Event().wait()
        yield 1

    stream = PooledEngine(handler, worker="attached")(None)
    pending = stream.__anext__()
    future = pending.send(None)
    assert asyncio.isfuture(future)
    assert future._asyncio_future_blocking
    with pytest.raises(RuntimeError, match="wasn't used with future"):
        pending.send(None)
    second = stream.__anext__()
    with pytest.raises(RuntimeError, match="another task is reading"):
        second.send(None)
    pending.close()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(stream.__anext__(), 0.001)
    await stream.aclose()


async def test_what_a_task_waits_for_behaves_as_a_future() -> None:
    async def handler(request: object) -> AsyncGenerator[int, None]:
        await asyncio.Event().wait()
        yield 1

    called: list[tuple[str, Any]] = []
    variable = contextvars.ContextVar("variable", default="outside")
    inside = contextvars.copy_context()
    inside.run(variable.set, "inside")
    stream = PooledEngine(handler, worker="attached")(None)
    pending = stream.__anext__()
    future: Any = pending.send(None)

    def first(done: Any) -> None:
        called.append((variable.get(), done))

    def second(done: Any) -> None:
        called.append(("second", done))
        raise LookupError("of a callback")

    assert future.get_loop() is asyncio.get_running_loop()
    assert (future.done(), future.cancelled(), repr(future)) == (False, False, "<pybridge.Wait: pending>")
    for ask in (future.result, future.exception):
        with pytest.raises(asyncio.InvalidStateError):
            ask()
    future.add_done_callback(first, context=inside)
    for _ in range(2):
        future.add_done_callback(called.append)
    assert (future.remove_done_callback(called.append), future.remove_done_callback(print)) == (2, 0)
    future.add_done_callback(second)
    future.add_done_callback(first)
    failures = LoopFailures()
    with failures:
        assert (future.cancel(msg="enough"), future.cancel()) == (True, False)
        assert (future.done(), future.cancelled(), called) == (True, True, [])
        await turns(2)
    assert called == [("inside", future), ("second", future), ("outside", future)]
    assert [type(failure) for failure in failures.seen] == [LookupError]
    for ask in (future.result, future.exception):
        with pytest.raises(asyncio.CancelledError, match="enough"):
            ask()
    future.add_done_callback(first)
    await turns(1)
    assert len(called) == 4
    pending.close()
    await stream.aclose()


class LoopFailures:
    """What callbacks of the running loop raise meanwhile."""

    def __init__(self) -> None:
        self.seen: list[BaseException] = []

    def __enter__(self) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self.seen.append(context["exception"]))

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().set_exception_handler(None)


async def test_aclose_wakes_a_reader_that_waits(make_engine: EngineMaker) -> None:
    stream, gate = await opened_at_gate(make_engine)
    reader = asyncio.ensure_future(stream.__anext__())
    await turns(2)
    await stream.aclose()
    with pytest.raises(StopAsyncIteration):
        await reader
    assert gate.closed == [1]


@pytest.mark.guarantee("S-22")
async def test_stream_may_be_read_on_another_loop_than_it_began_on(make_engine: EngineMaker) -> None:
    stream, gate = await opened_at_gate(make_engine)
    gate.allow(2)

    def elsewhere() -> list[Any]:
        return asyncio.run(take(stream, 2))

    assert await asyncio.to_thread(elsewhere) == [1, 2]
    gate.allow()
    assert await anext(stream) == 3
    await stream.aclose()


@pytest.mark.parametrize(("kind", "codec"), [("items", "msgpack"), ("frames", "json"), ("chunks", "raw")])
async def test_stream_shows_what_it_is_and_how_far_without_being_started(
    make_engine: EngineMaker, kind: str, codec: Any
) -> None:
    async def handler(request: object, context: Context) -> AsyncGenerator[bytes | str, None]:
        yield context.id

    engine = make_engine(handler, codec=codec)
    call = engine if kind == "items" else getattr(engine, kind)
    stream, named = call(None), call(None, request_id="mine")
    assert repr(stream) == f"<pybridge.Stream of {kind} in {codec}: not started>"
    assert repr(named) == f"<pybridge.Stream of {kind} in {codec}, request mine: not started>"
    await stream.__aenter__()
    await until(lambda: "ended, not all of it read" in repr(stream), "the handler has ended")
    item = await anext(stream)
    name = item.decode() if isinstance(item, Frame | bytes) else item
    assert [_ async for _ in stream] == []
    assert repr(stream) == f"<pybridge.Stream of {kind} in {codec}, request {name}: closed>"
    await named.aclose()
    assert repr(named) == f"<pybridge.Stream of {kind} in {codec}, request mine: closed>"
    await engine.aclose()
    assert repr(stream).endswith("closed>")


async def test_stream_that_waits_is_live_and_closed_once_it_is_left(make_engine: EngineMaker) -> None:
    stream, _ = await opened_at_gate(make_engine)
    assert repr(stream).endswith(": live>")
    reader = asyncio.ensure_future(stream.__anext__())
    await turns(2)
    assert repr(stream).endswith(": live>")
    await stream.aclose()
    assert repr(stream).endswith(": closed>")
    with pytest.raises(StopAsyncIteration):
        await reader


async def test_stream_itself_is_not_awaitable() -> None:
    """Frameworks await what looks like it; a stream is iterated over."""
    async with PooledEngine(Gate()) as engine:
        stream: Any = engine(None)
        assert not inspect.isawaitable(stream)
        with pytest.raises(TypeError, match="Stream"):
            await stream
        with pytest.raises(TypeError, match=r"a coroutine was expected, got <pybridge\.Stream of items"):
            asyncio.get_running_loop().create_task(stream)


@pytest.mark.guarantee("E-22")
async def test_driving_task_shows_the_handler(make_engine: EngineMaker) -> None:
    async def shown_handler(request: object) -> AsyncGenerator[str, None]:
        task = asyncio.current_task()
        assert task
        frames = [frame.f_code.co_name for frame in task.get_stack()]
        yield repr(task)
        yield ",".join(frames)

    shown, stack = await collect(make_engine(shown_handler)(None))
    assert "shown_handler" in shown
    assert "shown_handler" in stack


async def test_reader_that_comes_while_the_stream_starts_does_not_take_that_for_its_end() -> None:
    async def handler(request: object) -> AsyncGenerator[int, None]:
        yield 1

    def start(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Future[Any]:
        second: Any = stream.__anext__()
        with pytest.raises(RuntimeError, match="another task is starting this stream"):
            second.send(None)
        started.append(1)
        return asyncio.Task(coroutine, loop=loop, context=options["context"])

    started: list[int] = []
    stream = PooledEngine(handler, worker="attached")(None)
    loop = asyncio.get_running_loop()
    loop.set_task_factory(start)
    try:
        await stream.__aenter__()
    finally:
        loop.set_task_factory(None)
    assert await collect(stream) == [1]
    assert started == [1]
