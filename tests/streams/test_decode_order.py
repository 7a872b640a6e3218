"""Long requests are decoded one after the other, shorter ones before longer ones."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from pybridge import PooledEngine, StreamCancelled

from support.consumers import collect
from support.waiting import until

ROW = {"id": 123_456, "name": "row", "tags": ["a", "b"], "score": 0.5}


def rows(number: int) -> bytes:
    """A request of so many small objects: 64 bytes each."""
    return json.dumps([ROW] * number).encode()


def noting(begun: list[int]) -> PooledEngine:
    """An engine whose handler notes the length of its request."""

    async def handler(request: list[Any]) -> AsyncGenerator[int, None]:
        begun.append(len(request))
        yield 0

    return PooledEngine(handler, codec="json", worker="attached")


@pytest.mark.guarantee("M-21")
async def test_requests_that_come_together_are_not_decoded_together() -> None:
    """When the first handler is called, less memory is in use than two requests take."""
    used: list[int] = []

    async def handler(request: list[Any]) -> AsyncGenerator[int, None]:
        used.append(sys.getallocatedblocks())
        yield len(request)

    engine = PooledEngine(handler, codec="json", worker="attached")
    body = rows(10_000)
    before = sys.getallocatedblocks()
    request = json.loads(body)
    one = sys.getallocatedblocks() - before
    del request
    before = sys.getallocatedblocks()
    calls = [collect(engine(body, encoded="json")) for _ in range(8)]
    assert await asyncio.gather(*calls) == [[10_000]] * 8
    assert used[0] - before < 2 * one


@pytest.mark.guarantee("M-21")
async def test_shorter_request_is_decoded_before_a_longer_one_that_came_first() -> None:
    begun: list[int] = []
    engine = noting(begun)
    calls = [collect(engine(rows(number), encoded="json")) for number in (40_000, 5_000, 5_001)]
    await asyncio.gather(*calls)
    assert begun == [5_000, 5_001, 40_000]


@pytest.mark.guarantee("M-21")
async def test_longer_request_waits_for_as_many_bytes_as_it_has_and_no_more() -> None:
    """Shorter ones that come all the time, one when the other begins, do not keep it out."""
    begun: list[int] = []
    later: list[asyncio.Task[list[Any]]] = []
    long, short = rows(40_000), rows(5_000)

    async def handler(request: list[Any]) -> AsyncGenerator[int, None]:
        begun.append(len(request))
        if len(begun) < 40 and 40_000 not in begun:
            later.append(asyncio.create_task(collect(engine(short, encoded="json"))))
        yield 0

    engine = PooledEngine(handler, codec="json", worker="attached")
    await asyncio.gather(*(collect(engine(body, encoded="json")) for body in (long, short)))
    await asyncio.gather(*later)
    assert 1 <= begun.index(40_000) <= 12


@pytest.mark.guarantee("M-21")
async def test_request_that_waits_to_be_decoded_can_be_cancelled() -> None:
    begun: list[int] = []
    engine = noting(begun)
    first = asyncio.create_task(collect(engine(rows(20_000), encoded="json")))
    second = asyncio.create_task(collect(engine(rows(20_001), encoded="json")))
    third = asyncio.create_task(collect(engine(rows(20_002), encoded="json", timeout=0)))
    await asyncio.sleep(0)
    second.cancel()
    assert await first == [0]
    with pytest.raises(asyncio.CancelledError):
        await second
    with pytest.raises(StreamCancelled, match="deadline"):
        await third
    await until(lambda: engine.stats().streams.live == 0, "the cancelled ones have ended")
    assert begun == [20_000]
