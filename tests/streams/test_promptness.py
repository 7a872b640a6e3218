"""Items leave while their handler waits or keeps its thread busy, and what is made in one turn crosses together."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pybridge import FlowConfig, PooledEngine, Stream

from support.consumers import collect, take
from support.engines import EngineMaker, uvloop_worker
from support.waiting import turns, until, wait_until

QUIET = 1.3
"""Seconds after which nobody looks after workers any more."""


class Blocker:
    """A handler that, after an item, keeps its thread busy until the test has seen that item."""

    def __init__(self, before: int = 0) -> None:
        self.before = before
        self.seen = threading.Event()

    async def __call__(self, request: object) -> AsyncGenerator[str, None]:
        for _ in range(self.before):
            yield "fast"
        yield "started"
        assert self.seen.wait(10), "the item waited behind the handler"
        yield "done"


@contextmanager
def loop_elsewhere() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that a thread of its own runs."""
    event_loop = asyncio.new_event_loop()
    thread = threading.Thread(target=event_loop.run_forever)
    thread.start()
    try:
        yield event_loop
    finally:
        event_loop.call_soon_threadsafe(event_loop.stop)
        thread.join(10)
        event_loop.close()


@pytest.mark.guarantee("S-16")
@pytest.mark.parametrize("before", [0, 1, 20, 300])
@pytest.mark.parametrize("placement", ["asyncio", "uvloop"])
def test_item_before_a_handler_blocks_reaches_a_thread(before: int, placement: str) -> None:
    handler = Blocker(before)
    engine = PooledEngine(handler, worker="dedicated" if placement == "asyncio" else uvloop_worker())
    items = engine.iter(None)
    assert [next(items) for _ in range(before + 1)] == ["fast"] * before + ["started"]
    handler.seen.set()
    assert list(items) == ["done"]


@pytest.mark.guarantee("S-16")
@pytest.mark.parametrize("before", [0, 20])
async def test_item_before_a_handler_blocks_reaches_another_loop(before: int) -> None:
    handler = Blocker(before)
    async with PooledEngine(handler, worker="dedicated")(None) as stream:
        assert await take(stream, before + 1) == ["fast"] * before + ["started"]
        handler.seen.set()
        assert await collect(stream) == ["done"]


@pytest.mark.guarantee("S-16")
async def test_item_of_an_attached_handler_that_blocks_its_loop_reaches_another_one() -> None:
    handler = Blocker()
    go_on = asyncio.Event()

    async def handle(request: object) -> AsyncGenerator[str, None]:
        yield "first"
        await go_on.wait()
        async for item in handler(request):
            yield item

    streams: list[Stream[str]] = []

    async def begin() -> str:
        streams.append(PooledEngine(handle, worker="attached")(None))
        return await anext(streams[0])

    with loop_elsewhere() as event_loop:
        assert await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(begin(), event_loop)) == "first"
        event_loop.call_soon_threadsafe(go_on.set)
        assert await anext(streams[0]) == "started"
        handler.seen.set()
        assert await collect(streams[0]) == ["done"]


@pytest.mark.guarantee("S-16")
async def test_items_of_streams_that_had_their_turn_do_not_wait_for_one_that_blocks() -> None:
    """What other streams have parked leaves as well."""
    blocker, gate = Blocker(), asyncio.Event()

    async def handler(request: str) -> AsyncGenerator[str, None]:
        yield "ready"
        if request == "opens":
            gate.set()
            return
        await gate.wait()
        yield "quick"
        if request == "blocks":
            async for item in blocker(None):
                yield item

    engine = PooledEngine(handler, worker="dedicated")
    quick, blocked = engine("is quick"), engine("blocks")
    assert [await anext(quick), await anext(blocked)] == ["ready"] * 2
    assert await collect(engine("opens")) == ["ready"]
    assert await collect(quick) == ["quick"]
    assert await take(blocked, 2) == ["quick", "started"]
    blocker.seen.set()
    assert await collect(blocked) == ["done"]


@pytest.mark.guarantee("S-16")
def test_first_item_after_a_quiet_time_does_not_wait_either() -> None:
    """Whoever looks after busy workers sleeps when there is nothing to look after, and is woken."""
    handlers = [Blocker(), Blocker()]

    async def handler(request: int) -> AsyncGenerator[str, None]:
        async for item in handlers[request](None):
            yield item

    engine = PooledEngine(handler, worker="dedicated")
    for number, blocker in enumerate(handlers):
        items = engine.iter(number)
        assert next(items) == "started"
        blocker.seen.set()
        assert list(items) == ["done"]
        end = time.monotonic() + QUIET
        wait_until(lambda: time.monotonic() > end, "a quiet time is over")  # noqa: B023


@pytest.mark.guarantee("S-17")
# Items that are slow to make leave at once: a few more where the machine takes its time for the turn.
@pytest.mark.parametrize(("items", "most"), [(0, 2), (1, 8)], ids=["endings", "items and endings"])
async def test_what_streams_make_in_one_turn_crosses_together(items: int, most: int) -> None:
    """However many streams there are."""
    turn = asyncio.Event()

    async def handler(request: object) -> AsyncGenerator[int, None]:
        await turn.wait()
        for number in range(items):
            yield number

    engine = PooledEngine(handler, worker="attached")
    consumers = [asyncio.create_task(collect(engine(None))) for _ in range(64)]
    await until(lambda: engine.stats().streams.live == 64, "all streams run")
    await turns(3)
    before = engine.stats().crossings
    turn.set()
    assert await asyncio.gather(*consumers) == [[*range(items)]] * 64
    assert engine.stats().crossings - before <= most


@pytest.mark.guarantee("S-17")
async def test_unary_calls_cross_about_once_a_turn() -> None:
    """3,200 calls, 64 at a time; neither their items nor their endings cross alone."""

    async def handler(request: object) -> AsyncGenerator[int, None]:
        await asyncio.sleep(0)  # an eager task would end here, each alone
        yield 1

    engine = PooledEngine(handler, worker="attached")
    passed = 0

    async def count_turns() -> None:
        nonlocal passed
        while True:
            passed += 1
            await asyncio.sleep(0)

    async def call_often() -> None:
        for _ in range(50):
            assert await engine.call(None) == 1

    counter = asyncio.create_task(count_turns())
    await asyncio.gather(*(call_often() for _ in range(64)))
    counter.cancel()
    crossings = engine.stats().crossings
    # More where the machine takes its time for the turn: items that are slow to make leave at once.
    assert crossings <= 2 * passed, (crossings, passed)
    assert crossings <= 3200 / 4, (crossings, passed)


@pytest.mark.guarantee("S-16")
async def test_ending_of_a_loop_that_stops_in_that_turn_reaches_another_loop() -> None:
    """The hand-over of the last turn is left in a loop that nobody runs."""
    attached = asyncio.new_event_loop()
    gate = asyncio.Event()

    async def handler(request: str) -> AsyncGenerator[str, None]:
        yield "first"
        if request == "stays":
            await asyncio.Event().wait()
        await gate.wait()
        attached.stop()

    async def begin() -> list[Stream[str]]:
        engine = PooledEngine(handler, worker="attached")
        streams = [engine("ends"), engine("stays")]
        assert [await anext(stream) for stream in streams] == ["first"] * 2
        return streams

    def run() -> list[Stream[str]]:
        streams = attached.run_until_complete(begin())
        gate.set()
        attached.run_forever()
        return streams

    ends, stays = await asyncio.to_thread(run)
    assert await collect(ends) == []
    await asyncio.to_thread(attached.run_until_complete, stays.aclose())
    attached.close()


@pytest.mark.guarantee("S-15")
@pytest.mark.parametrize("flush", ["turn", "suspend"])
async def test_what_was_made_before_a_wait_arrives_during_it(make_engine: EngineMaker, flush: Any) -> None:
    async def handler(request: object) -> AsyncGenerator[int, None]:
        for number in range(3):
            yield number
        await asyncio.Event().wait()

    engine = make_engine(handler, flow=FlowConfig(flush=flush))
    async with engine(None) as stream:
        assert await take(stream, 3) == [0, 1, 2]


@pytest.mark.guarantee("S-15")
async def test_full_batch_leaves_before_the_turn_ends() -> None:
    go_on = threading.Event()

    async def handler(request: object) -> AsyncGenerator[int, None]:
        for number in range(4):
            yield number
        assert go_on.wait(10)
        yield 4

    engine = PooledEngine(handler, worker="dedicated", flow=FlowConfig(batch_items=4))
    async with engine(None) as stream:
        assert await take(stream, 4) == [0, 1, 2, 3]
        go_on.set()
        assert await collect(stream) == [4]


@pytest.mark.guarantee("S-15")
async def test_items_that_take_long_to_make_leave_one_by_one() -> None:
    go_on = threading.Event()

    async def handler(request: object) -> AsyncGenerator[int, None]:
        for number in range(3):
            end = time.perf_counter() + 0.002
            while time.perf_counter() < end:
                pass
            yield number
        assert go_on.wait(10)

    engine = PooledEngine(handler, worker="dedicated")
    async with engine(None) as stream:
        assert await take(stream, 3) == [0, 1, 2]
        go_on.set()
        assert await collect(stream) == []
