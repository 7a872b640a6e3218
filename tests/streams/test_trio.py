"""Errors under trio: streams need asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import trio

from pybridge import PooledEngine, StreamCancelled


async def handler(request: int) -> AsyncIterator[int]:
    for number in range(request):
        yield number


@pytest.mark.guarantee("E-10", "E-24")
def test_blocking_iteration_is_refused_as_on_asyncio_and_works_in_a_thread() -> None:
    async def main() -> list[int]:
        with pytest.raises(RuntimeError, match=r"would block trio.*to_thread"):
            engine.iter(3)
        items: list[int] = await trio.to_thread.run_sync(lambda: list(engine.iter(3)))
        return items

    with PooledEngine(handler) as engine:
        assert trio.run(main) == [0, 1, 2]
        assert list(engine.iter(2)) == [0, 1], "trio is imported and does not run"


@pytest.mark.guarantee("E-24")
def test_async_iteration_is_refused_before_anything_starts_and_names_asyncio() -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match=r"asyncio.*trio runs here"):
            async for _ in engine(3):
                pass
        with pytest.raises(RuntimeError, match="asyncio"):
            async with engine(3):
                pass
        with pytest.raises(RuntimeError, match="asyncio"):
            await engine.aclose()

    with PooledEngine(handler, worker="dedicated") as engine:
        trio.run(main)
        assert engine.stats().streams.started == 0


def test_close_does_not_block_trio() -> None:
    async def forever(request: object) -> AsyncIterator[int]:
        yield 1
        await asyncio.Event().wait()

    async def main() -> None:
        engine.close(None)  # elsewhere it waits until the stream is done

    engine = PooledEngine(forever, worker="dedicated")
    stream = engine.iter(None)
    assert next(stream) == 1
    trio.run(main)
    with pytest.raises(StreamCancelled, match="shutdown"):
        next(stream)
    engine.close()
