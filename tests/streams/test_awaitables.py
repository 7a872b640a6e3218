"""What a stream gives to await behaves like any awaitable of asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

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
