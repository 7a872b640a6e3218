"""What a stream gives to await behaves like any awaitable of asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import anyio
import pytest

from pybridge import Stream

from support.engines import EngineMaker


async def test_a_wait_that_times_out_loses_no_item(make_engine: EngineMaker) -> None:
    """T-40"""
    gates: asyncio.Queue[None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    async def handler(number: int) -> AsyncGenerator[int, None]:
        for index in range(number):
            if index == 1:
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(gates.get(), loop))
            yield index

    async with make_engine(handler)(3) as stream:
        assert await anext(stream) == 0
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(stream), 0.01)
        gates.put_nowait(None)
        assert [item async for item in stream] == [1, 2]


async def endless(request: object) -> AsyncGenerator[int, None]:
    """Waits for ever after its first item."""
    yield 0
    await asyncio.Event().wait()


async def test_pending_awaitable_can_be_cancelled_shielded_and_grouped(make_engine: EngineMaker) -> None:
    """T-40"""
    async with make_engine(endless)(None) as stream:
        assert await asyncio.shield(asyncio.ensure_future(anext(stream))) == 0
        pending = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        called: list[asyncio.Future[int]] = []
        pending.add_done_callback(called.append)
        assert not pending.done()
        pending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pending
        await asyncio.sleep(0)
        assert called == [pending]
        with pytest.raises(ExceptionGroup) as group:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_next(stream))
                tasks.create_task(_fail())
        assert [str(error) for error in group.value.exceptions] == ["fails"]
        with anyio.move_on_after(0.01) as scope:
            await anext(stream)
        assert scope.cancelled_caught


async def _next(stream: Stream[int]) -> int:
    return await anext(stream)


async def _fail() -> None:
    await asyncio.sleep(0)
    raise ValueError("fails")


AWAITABLES: dict[str, Callable[[Stream[int]], Any]] = {
    "__anext__": lambda stream: stream.__anext__(),
    "__aenter__": lambda stream: stream.__aenter__(),
    "__aexit__": lambda stream: stream.__aexit__(None, None, None),
    "aclose": lambda stream: stream.aclose(),
}


@pytest.mark.parametrize("name", AWAITABLES)
async def test_awaitables_keep_the_protocol_of_coroutines(make_engine: EngineMaker, name: str) -> None:
    """T-40: send, throw and close, each on one that is not awaited otherwise."""
    make = AWAITABLES[name]
    engine = make_engine(endless)

    thrown = make(engine(None)).__await__()
    with pytest.raises(KeyError):
        thrown.throw(KeyError("thrown"))
    with pytest.raises(RuntimeError, match="already awaited"):
        thrown.send(None)

    closed = make(engine(None)).__await__()
    closed.close()
    closed.close()
    with pytest.raises(RuntimeError, match="already awaited"):
        closed.send(None)

    with pytest.raises(TypeError, match="non-None"):
        make(engine(None)).__await__().send(1)

    stream = engine(None)
    await make(stream)
    await stream.aclose()


async def test_second_reader_is_refused_while_the_first_waits(make_engine: EngineMaker) -> None:
    """T-40"""
    async with make_engine(endless)(None) as stream:
        assert await anext(stream) == 0
        pending = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="another task"):
            await anext(stream)
        pending.cancel()
        await asyncio.gather(pending, return_exceptions=True)
