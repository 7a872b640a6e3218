"""Streams share a loop: none starves another, not even one that never waits."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable

import pytest

from pybridge import FlowConfig, HandlerExit, PooledEngine, StreamCancelled

from support.consumers import collect
from support.engines import EngineMaker
from support.waiting import until

ITEMS_PER_STEP = 256


@pytest.mark.guarantee("S-18")
async def test_handler_that_never_waits_starves_nobody_and_can_be_cancelled(make_engine: EngineMaker) -> None:
    """Between two turns of its neighbour it makes a bounded number of items."""
    made = 0
    begun: list[int] = []
    seen: list[int] = []

    async def tireless(request: object) -> AsyncGenerator[int, None]:
        nonlocal made
        begun.append(1)
        while not seen:  # noqa: ASYNC110 - both begin together
            await asyncio.sleep(0)
        while True:
            made += 1
            yield made

    async def normal(request: object) -> AsyncGenerator[int, None]:
        while not begun:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)
        for number in range(50):
            await asyncio.sleep(0)
            seen.append(made)
            yield number

    hot = make_engine(tireless, flow=FlowConfig(high_water_items=100_000, high_water="64MiB"))

    async def drain() -> None:
        async for _ in hot(None):
            await asyncio.sleep(0)

    reader = asyncio.create_task(drain())
    assert await collect(make_engine(normal)(None)) == list(range(50))
    assert seen[-1] > seen[0]
    assert max(later - earlier for earlier, later in itertools.pairwise(seen)) <= 4 * ITEMS_PER_STEP
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)
    await until(lambda: hot.stats().streams.live == 0, "the tireless one has ended")
    assert hot.stats().streams.cancelled["caller"] == 1
    with pytest.raises(StreamCancelled, match="deadline"):
        async for _ in make_engine(tireless)(None, timeout=0.05):
            await asyncio.sleep(0)


@pytest.mark.guarantee("S-18")
async def test_streams_that_never_wait_share_a_bounded_time_of_each_turn() -> None:
    """In a turn of the loop not all of them make a step, once each has made its first."""
    streams, items = 200, 4 * ITEMS_PER_STEP
    made = 0
    turns: list[int] = []

    async def tireless(request: object) -> AsyncGenerator[int, None]:
        nonlocal made
        for number in range(items):
            made += 1
            yield number

    engine = PooledEngine(tireless, worker="attached", flow=FlowConfig(high_water_items=items + 1, high_water="64MiB"))

    async def watch() -> None:
        while made < streams * items:
            turns.append(made)
            await asyncio.sleep(0)

    await asyncio.gather(watch(), *(collect(engine(None)) for _ in range(streams)))
    steps = [later - earlier for earlier, later in itertools.pairwise(turns) if earlier >= streams * ITEMS_PER_STEP]
    assert max(steps) < streams * ITEMS_PER_STEP // 2


@pytest.mark.guarantee("S-10", "S-18")
def test_exit_of_one_handler_leaves_no_other_waiting_for_its_turn(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """It ends the turn in which its request was decoded: who would have come next comes in the next turn."""
    items = 400 * ITEMS_PER_STEP

    async def handler(request: list[int]) -> AsyncGenerator[int, None]:
        if request:
            raise SystemExit
        for number in range(items):
            yield number

    async def main(body: bytes) -> int:
        flow = FlowConfig(high_water_items=items + 1, high_water="64MiB")
        engine = PooledEngine(handler, codec="json", worker="attached", flow=flow)
        return len(await collect(engine(body, encoded="json")))

    loop = loop_factory()
    try:
        tireless = [loop.create_task(main(b"[]")) for _ in range(3)]
        exiting = loop.create_task(main(b"[" + b"1," * 300_000 + b"1]"))
        with pytest.raises(SystemExit):
            loop.run_until_complete(exiting)
        assert loop.run_until_complete(asyncio.gather(*tireless)) == [items] * 3
        with pytest.raises(HandlerExit):
            loop.run_until_complete(exiting)
    finally:
        loop.close()
