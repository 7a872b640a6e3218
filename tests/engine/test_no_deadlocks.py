"""Hooks that call engines, and threads that start, cancel and drop streams: none waits for another."""

from __future__ import annotations

import asyncio
import functools
import sys
import threading
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from pybridge import FlowConfig, MsgpackCodec, PooledEngine

from support.consumers import collect
from support.engines import EngineMaker


class Hostile:
    """Calls back into engines from wherever Python code can run while it is encoded or freed."""

    def __init__(self, engine: PooledEngine) -> None:
        self.engine = engine

    def __del__(self) -> None:
        self.engine.stats()
        self.engine(None)


@pytest.mark.guarantee("E-23")
@pytest.mark.parametrize("batch", [1, 64])
async def test_encoding_hook_may_call_engines_and_start_streams(make_engine: EngineMaker, batch: int) -> None:
    started: list[asyncio.Task[Any]] = []

    def default(item: Hostile) -> Any:
        item.engine.stats()
        started.append(asyncio.ensure_future(collect(item.engine(3))))
        return {"hook": len(started)}

    async def simple(request: int) -> AsyncGenerator[int, None]:
        for number in range(request):
            yield number

    async def handler(request: object) -> AsyncGenerator[Any, None]:
        for number in range(50):
            yield [number, Hostile(inner), number]
        for task in started:
            assert await task == [0, 1, 2]

    inner = make_engine(simple)
    engine = make_engine(handler, codec=MsgpackCodec(default=default), flow=FlowConfig(batch_items=batch))
    assert await collect(engine(None)) == [[n, {"hook": n + 1}, n] for n in range(50)]


@pytest.mark.guarantee("E-23")
def test_threads_that_start_cancel_and_drop_streams_do_not_block_each_other() -> None:
    """The switch interval is as short as can be."""

    async def handler(request: int) -> AsyncGenerator[Any, None]:
        for number in range(request):
            yield {"n": number, "hook": Noisy()}
            if number % 3 == 0:
                await asyncio.sleep(0)

    class Noisy:
        def __del__(self) -> None:
            engine.stats()

    def use(worker: int) -> None:
        try:
            for number in range(25):
                stream = engine.iter(20)
                for _ in range((worker + number) % 20):
                    next(stream)
                if number % 2:
                    assert len(list(stream)) == 20 - (worker + number) % 20
                del stream
        except BaseException as error:
            failures.append(error)

    failures: list[BaseException] = []
    codec = MsgpackCodec(default=lambda noisy: [1])
    engine = PooledEngine(handler, worker="dedicated", codec=codec)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=functools.partial(use, number)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(15)
            assert not thread.is_alive(), "no progress"
    finally:
        sys.setswitchinterval(interval)
    assert not failures
