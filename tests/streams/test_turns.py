"""Streams share a loop: none starves another, and any task factory will do."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from pybridge import PooledEngine, StreamCancelled

from support.consumers import collect, take
from support.engines import EngineMaker


async def test_tireless_stream_starves_no_other_and_can_be_cancelled(make_engine: EngineMaker) -> None:
    """T-38: a handler that never awaits, beside one whose items come one a turn."""
    turns = 0

    async def handler(request: str) -> AsyncGenerator[Any, None]:
        nonlocal turns
        if request == "polite":
            for index in range(50):
                await asyncio.sleep(0)
                yield index
            return
        while True:
            turns += 1
            yield turns

    engine = make_engine(handler)

    async def consume_tireless() -> None:
        async for _ in engine("tireless"):
            pass

    tireless = asyncio.create_task(consume_tireless())
    assert await collect(engine("polite")) == list(range(50))
    tireless.cancel()
    with pytest.raises(asyncio.CancelledError):
        await tireless
    with pytest.raises(StreamCancelled, match="deadline"):
        async for _ in engine("tireless", timeout=0.05):
            pass


async def semantics(request: int) -> AsyncGenerator[Any, None]:
    """Items, a wait, an awaited task, and the same task all along."""
    task = asyncio.current_task()
    yield request
    await asyncio.sleep(0)
    yield await asyncio.create_task(asyncio.sleep(0, "awaited"))
    yield asyncio.current_task() is task and asyncio.current_task() in asyncio.all_tasks()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
async def test_eager_tasks_change_nothing() -> None:
    """T-22"""
    if sys.version_info >= (3, 12):
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    engine = PooledEngine(semantics, worker="attached")
    assert await asyncio.gather(*(collect(engine(n)) for n in range(50))) == [[n, "awaited", True] for n in range(50)]
    assert await take(engine(7), 1) == [7]


async def test_any_task_factory_will_do() -> None:
    """T-22: a program's own factory makes the tasks of streams as well."""
    made: list[str] = []

    def factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **settings: Any) -> asyncio.Task[Any]:
        made.append(getattr(coroutine, "__qualname__", ""))
        return asyncio.Task(coroutine, loop=loop, **settings)

    asyncio.get_running_loop().set_task_factory(factory)
    engine = PooledEngine(semantics, worker="attached")
    assert await collect(engine(1)) == [1, "awaited", True]
    assert any(name.endswith("semantics") for name in made)
