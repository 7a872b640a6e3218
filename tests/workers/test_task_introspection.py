"""Tasks that run handlers: asyncio's own tools find and show them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator

import pytest

from pybridge import PooledEngine

from support import skips
from support.engines import EngineMaker
from support.waiting import turns


@pytest.mark.guarantee("E-22")
async def test_task_of_a_handler_is_among_its_loops_tasks_on_every_thread(make_engine: EngineMaker) -> None:
    async def handler(request: object) -> AsyncGenerator[bool, None]:
        task = asyncio.current_task()
        yield task in asyncio.all_tasks()
        loop, seen = asyncio.get_running_loop(), list[bool]()
        other = threading.Thread(target=lambda: seen.append(task in asyncio.all_tasks(loop)))
        other.start()
        other.join()
        yield seen == [True]

    assert [item async for item in make_engine(handler)(None)] == [True, True]


@skips.where("call graphs came with Python 3.14")
async def test_call_graph_shows_where_a_handler_and_its_reader_wait() -> None:
    async def waits(request: object) -> AsyncIterator[str]:
        yield "begun"
        await asyncio.Event().wait()

    async def reads() -> None:
        async for _ in stream:
            begun.set()

    graph = asyncio.format_call_graph  # type: ignore[attr-defined, unused-ignore]
    begun = asyncio.Event()
    before = asyncio.all_tasks()
    async with PooledEngine(waits, worker="attached")(None) as stream:
        reader = asyncio.create_task(reads())
        await begun.wait()
        await turns(2)
        assert "in async test_call_graph_shows_where_a_handler_and_its_reader_wait.<locals>.reads()" in graph(reader)
        (handler,) = asyncio.all_tasks() - before - {reader}
        assert "in async Event.wait()" in graph(handler)
        assert "waits()" in graph(handler)
    await reader
