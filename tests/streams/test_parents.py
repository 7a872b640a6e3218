"""Nested calls end with the call that made them, however late they are made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from pybridge import PooledEngine, StreamCancelled

from support.consumers import collect
from support.engines import EngineMaker
from support.forms import FORMS
from support.waiting import until


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
