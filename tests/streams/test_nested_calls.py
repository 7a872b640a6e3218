"""Nested calls end with the call that made them, however late they are made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from pybridge import Context, PooledEngine, StreamCancelled, Worker

from support import skips
from support.consumers import collect
from support.engines import EngineMaker
from support.forms import FORMS
from support.waiting import until, wait_until


async def many(request: object) -> AsyncGenerator[int, None]:
    for number in range(500):
        yield number


@pytest.mark.guarantee("C-13")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("inner_worker", ["auto", "dedicated"])
async def test_call_made_after_its_parent_was_cancelled_is_cancelled_at_once(
    make_engine: EngineMaker, form: str, inner_worker: Any
) -> None:
    async def inner(request: object) -> AsyncGenerator[int, None]:
        called.append(request)
        yield 1

    async def outer(request: object) -> AsyncGenerator[int, None]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            try:
                await FORMS[form](other)
            except StreamCancelled as cancelled:
                reasons.append(cancelled.reason)
            reasons.append(await other.call("cleanup", parent=None))

    called: list[object] = []
    reasons: list[object] = []
    other = PooledEngine(inner, worker=inner_worker)
    async with make_engine(outer)(None) as stream:
        assert await anext(stream) == 1
    assert reasons == ["parent", 1]
    assert called == ["cleanup"]
    assert other.stats().streams.cancelled["parent"] == 1


@pytest.mark.guarantee("C-13")
async def test_call_that_races_its_parents_cancellation_is_not_left_behind(make_engine: EngineMaker) -> None:
    """The parent is cancelled on another thread while its handler and its tasks make calls."""

    async def inner(request: object) -> AsyncGenerator[int, None]:
        yield 1
        await asyncio.Event().wait()

    async def outer(request: object) -> AsyncGenerator[int, None]:
        yield 1
        while True:
            tasks.append(asyncio.create_task(collect(other(None))))
            await asyncio.sleep(0)

    tasks: list[asyncio.Task[Any]] = []
    other = PooledEngine(inner, worker="auto")
    engine = make_engine(outer)
    for number in range(40):
        with pytest.raises(StreamCancelled, match="idle"):
            await collect(engine(None, idle_timeout=0.002 + number * 0.0001))
    await until(lambda: all(task.done() for task in tasks), lambda: f"{sum(not task.done() for task in tasks)} go on")
    reasons = {task.exception().reason for task in tasks}  # type: ignore[union-attr]
    assert reasons == {"parent"}


@pytest.mark.guarantee("C-13")
async def test_call_of_a_parent_that_something_else_cancelled_is_cancelled_with_it(make_engine: EngineMaker) -> None:
    async def inner(request: object) -> AsyncGenerator[int, None]:
        yield 1
        await asyncio.Event().wait()

    async def outer(request: object) -> AsyncGenerator[int, None]:
        tasks.append(asyncio.create_task(collect(other(None))))
        yield 1
        raise asyncio.CancelledError

    tasks: list[asyncio.Task[Any]] = []
    other = PooledEngine(inner, worker="auto")
    with pytest.raises(StreamCancelled, match="external"):
        await collect(make_engine(outer)(None))
    await until(tasks[0].done, "the nested call has ended")
    with pytest.raises(StreamCancelled, match="parent"):
        tasks[0].result()


@pytest.mark.guarantee("C-13")
async def test_cancelled_parent_is_the_reason_of_its_children(make_engine: EngineMaker) -> None:
    closed: list[str] = []
    reasons: list[str | None] = []

    async def leaf(request: str, context: Context) -> AsyncGenerator[str, None]:
        try:
            yield request
            await asyncio.Event().wait()
        finally:
            closed.append(f"leaf {request}")
            reasons.append(context.cancel_reason)

    async def middle(request: str) -> AsyncGenerator[str, None]:
        try:
            async for item in inner(request):
                yield item
        finally:
            closed.append("middle")

    async def top(request: str) -> AsyncGenerator[str, None]:
        try:
            detached.append(inner("detached", parent=None))
            await anext(detached[0])
            async for item in outer(request):
                yield item
        finally:
            closed.append("top")

    detached: list[Any] = []
    inner, outer, engine = make_engine(leaf), make_engine(middle), make_engine(top)
    async with engine("nested") as stream:
        assert await anext(stream) == "nested"
    await until(lambda: len(closed) == 3, "all three have cleaned up")
    assert closed == ["leaf nested", "middle", "top"]
    assert reasons == ["parent"]
    assert inner.stats().streams.live == 1
    await detached[0].aclose()
    assert closed[-1] == "leaf detached"


@skips.where("classes written in Python have a buffer from Python 3.12 on")
def test_call_whose_parent_is_cancelled_while_it_is_made_leaves_nothing_behind() -> None:
    class Body:
        def __init__(self, context: Context) -> None:
            self.context = context

        def __buffer__(self, flags: int) -> memoryview:
            self.context.cancel()
            # Another stream on the worker of the nested call: what was asked of that worker before is done.
            assert len(list(barrier.iter(None, parent=None))) == 500
            return memoryview(b"\x01")

    async def outer(request: object, context: Context) -> AsyncGenerator[list[int], None]:
        yield await asyncio.to_thread(lambda: list(inner.iter(Body(context), encoded="msgpack")))

    worker = Worker()
    inner, barrier = PooledEngine(many, worker=worker), PooledEngine(many, worker=worker)
    with pytest.raises(StreamCancelled):
        list(PooledEngine(outer, worker="dedicated").iter(None))
    wait_until(lambda: inner.stats().streams.started, "the nested call was made")
    wait_until(lambda: not inner.stats().streams.live, "no place is held")
