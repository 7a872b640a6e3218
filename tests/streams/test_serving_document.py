"""docs/serving.md is true."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from pybridge import PooledEngine

from support.processes import PythonRunner
from support.waiting import until

PAGE = (Path(__file__).parents[2] / "docs" / "serving.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)

SETUP, HEARTBEATS, FIRST_CHUNK, ERRORS, FORK = BLOCKS


def names_of(*blocks: str) -> dict[str, Any]:
    """What the blocks define, without what they try out."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks:
        exec(re.split(r"^(?:heard|try|assert)\b", block, flags=re.MULTILINE)[0], names)
    return names


def test_every_example_runs(run_python: PythonRunner) -> None:
    run_python("\n".join(BLOCKS))


@pytest.mark.guarantee("E-01", "P-06")
def test_both_sides_of_a_fork_use_an_engine_that_was_made_before_it(run_python: PythonRunner) -> None:
    child = """
import os
child = os.fork()
warm_up(sender=None)
forked_engine.close()
if child:
    assert os.waitpid(child, 0)[1] == 0
"""
    run_python(SETUP + FORK + child)


@pytest.fixture
def engine_of() -> Callable[[dict[str, Any], Any], PooledEngine]:
    """Puts another handler behind a recipe."""

    def put(names: dict[str, Any], handler: Any) -> PooledEngine:
        names["engine"] = PooledEngine(handler)
        engine: PooledEngine = names["engine"]
        return engine

    return put


async def test_heartbeats_lose_no_item_and_pass_the_handlers_own_timeout_on(engine_of: Any) -> None:
    names = names_of(SETUP, HEARTBEATS)
    go_on = asyncio.Event()

    async def handler(request: object) -> AsyncIterator[int]:
        for number in range(3):
            await go_on.wait()
            go_on.clear()
            yield number
        raise TimeoutError("the model's")

    heard: list[bytes] = []
    async with engine_of(names, handler):
        with pytest.raises(TimeoutError, match="the model's"):
            async for chunk in names["with_heartbeats"](None, every=0.01):
                heard.append(chunk)
                if chunk.startswith(b":"):
                    go_on.set()
    items = [chunk for chunk in heard if not chunk.startswith(b":")]
    assert items == [b"data: 0\n\n", b"data: 1\n\n", b"data: 2\n\n"]
    assert heard[0] == b": keep-alive\n\n"


async def test_client_that_gives_up_before_the_first_item_ends_the_handler(engine_of: Any) -> None:
    names = names_of(SETUP, FIRST_CHUNK)
    ended, going = [], asyncio.Event()

    async def handler(request: object) -> AsyncIterator[int]:
        try:
            await asyncio.Event().wait()
            yield 0
        finally:
            ended.append(1)

    messages = [{"type": "http.request", "more_body": False}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await going.wait()
        return {"type": "http.disconnect"}

    async def endpoint() -> None:
        async with engine.chunks(None) as chunks:
            await names["first_chunk"](chunks, receive)

    async with engine_of(names, handler) as engine:
        task = asyncio.ensure_future(endpoint())
        await until(lambda: engine.stats().streams.live == 1, "the handler runs")
        going.set()
        with pytest.raises(ConnectionError):
            await task
        assert ended == [1]


async def test_first_item_its_failure_and_its_absence_come_through(engine_of: Any) -> None:
    names = names_of(SETUP, FIRST_CHUNK)

    async def handler(request: str) -> AsyncIterator[str]:
        if request == "fails":
            raise LookupError(request)
        if request == "item":
            yield request

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    async with engine_of(names, handler) as engine:
        async with engine.chunks("item", framing="ndjson") as chunks:
            assert await names["first_chunk"](chunks, receive) == b'"item"\n'
        for request, error in (("fails", LookupError), ("none", StopAsyncIteration)):
            async with engine.chunks(request) as chunks:
                with pytest.raises(error):
                    await names["first_chunk"](chunks, receive)


async def test_last_event_tells_only_what_a_client_may_know(engine_of: Any) -> None:
    names = names_of(SETUP, ERRORS)

    async def handler(request: str) -> AsyncIterator[str]:
        yield "begun"
        if request == "external":
            raise asyncio.CancelledError
        raise LookupError("a secret")

    async with engine_of(names, handler):
        for request, error in (("raises", "a secret"), ("external", "external")):
            with pytest.raises(Exception, match=error):
                await names["collect"](request)
