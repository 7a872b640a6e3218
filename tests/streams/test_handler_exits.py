"""`SystemExit` and `KeyboardInterrupt` of a handler: contained on a worker, and passed on to a caller's own loop."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

import pybridge
from pybridge import HandlerExit, PooledEngine

from support.consumers import collect
from support.waiting import until


@pytest.mark.guarantee("S-10")
@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()], ids=repr)
async def test_exit_asked_for_on_a_dedicated_worker_is_contained(error: BaseException) -> None:
    async def handler(request: int) -> AsyncGenerator[int, None]:
        mine = asyncio.Event()
        waiting.append(functools.partial(asyncio.get_running_loop().call_soon_threadsafe, mine.set))
        if request == 0:
            yield 0
            raise error
        await mine.wait()
        yield request

    waiting: list[Callable[[], Any]] = []
    engine = PooledEngine(handler, worker="dedicated")
    others = [asyncio.create_task(collect(engine(number))) for number in range(1, 20)]
    await until(lambda: len(waiting) == 19, "all run")
    with pytest.raises(HandlerExit) as caught:
        await collect(engine(0))
    assert caught.value.__cause__ is error
    for wake in waiting:
        wake()
    assert await asyncio.gather(*others) == [[number] for number in range(1, 20)]


@pytest.mark.guarantee("S-10")
@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_exit_asked_for_on_an_attached_loop_reaches_the_loop_as_well(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], error: type[BaseException]
) -> None:
    async def handler(request: object) -> AsyncGenerator[int, None]:
        yield 1
        raise error

    async def main() -> None:
        try:
            await collect(PooledEngine(handler, worker="attached")(None))
        except HandlerExit:
            seen.append("stream")
            raise

    seen: list[str] = []
    loop = loop_factory()
    try:
        task = loop.create_task(main())
        with pytest.raises(error):
            loop.run_until_complete(task)
        with pytest.raises(HandlerExit):
            loop.run_until_complete(task)
    finally:
        loop.close()
    assert seen == ["stream"]


@pytest.mark.guarantee("S-10")
@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()], ids=repr)
async def test_exit_asked_for_by_an_encoding_hook_is_contained(error: BaseException) -> None:
    def default(item: object) -> None:
        raise error

    async def handler(request: object) -> AsyncGenerator[object, None]:
        try:
            yield object()
        finally:
            closed.append(1)

    closed: list[int] = []
    engine = PooledEngine(handler, worker="dedicated", codec=pybridge.MsgpackCodec(default=default))
    with pytest.raises(HandlerExit) as caught:
        await collect(engine(None))
    assert caught.value.__cause__ is error
    assert closed == [1]
    with pytest.raises(type(error)):
        pybridge.encode(object(), pybridge.MsgpackCodec(default=default))
