"""With the collector off, only reference counts free objects: nothing of ours may keep a request or an item."""

from __future__ import annotations

import asyncio
import gc
import itertools
import sys
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

import pybridge
from pybridge import Context, FlowConfig, PooledEngine, Stream, current_context

from support import skips
from support.consumers import collect, take
from support.loops import skip_without_eager_tasks
from support.waiting import until, wait_until

pytestmark = pytest.mark.usefixtures("collector_off")

MARK = "marker of a decoded request"


class Request:
    """What a Python caller passes; can be referred to weakly."""

    def __init__(self, case: str) -> None:
        self.case = case
        self.rows = [{"id": number} for number in range(3)]


class Item(dict[str, int]):
    """What handlers yield; can be referred to weakly."""


def case_of(request: Any) -> str:
    case = request["case"] if isinstance(request, dict) else request.case
    assert isinstance(case, str)
    return case


made: list[weakref.ref[Item]] = []


async def handler(request: Any, context: Context) -> AsyncIterator[Item | object]:
    """Ends as the request says, with everything that a handler may hold."""
    case = case_of(request)
    assert current_context() is context
    task, waiter = asyncio.current_task(), context.wait_cancelled()
    waiter.send(None)
    try:
        for number in range(3):
            item = Item(n=number)
            made.append(weakref.ref(item))
            yield item
        if case == "raised":
            raise LookupError(case)
        if case == "unencodable":
            yield object()
        if case in {"cancelled", "dropped", "timeout"}:
            await asyncio.Event().wait()
        if case == "parked":
            while True:
                yield item
    finally:
        assert asyncio.current_task() is task
        del waiter


async def finished(stream: Stream[Any]) -> None:
    assert len(await collect(stream)) == 3


async def failed(stream: Stream[Any]) -> None:
    with pytest.raises((LookupError, TypeError)) as caught:
        await collect(stream)
    # The traceback holds the handler's frame, as long as somebody holds the exception.
    caught.value.__traceback__ = None
    del caught


async def closed(stream: Stream[Any]) -> None:
    await take(stream, 3)
    await stream.aclose()


async def dropped(stream: Stream[Any]) -> None:
    await take(stream, 3)
    del stream


async def timed_out(stream: Stream[Any]) -> None:
    await take(stream, 3)
    with pytest.raises(Exception, match="deadline"):
        await anext(stream)


CONSUMERS: dict[str, Callable[[Stream[Any]], Awaitable[None]]] = {
    "finished": finished,
    "raised": failed,
    "unencodable": failed,
    "cancelled": closed,
    "parked": closed,
    "dropped": dropped,
    "timeout": timed_out,
}


def decoded_requests() -> int:
    return sum(type(thing) is dict and thing.get("mark") == MARK for thing in gc.get_objects())


async def all_dead(references: list[weakref.ref[Any]]) -> None:
    def alive() -> int:
        return sum(reference() is not None for reference in references) + decoded_requests()

    def holders() -> str:
        things = [thing for reference in references if (thing := reference()) is not None]
        return f"dead: {[[type(holder) for holder in gc.get_referrers(thing)] for thing in things[:3]]}"

    await until(lambda: not alive(), holders, deadline=3.0)


def options(case: str) -> dict[str, Any]:
    return {"timeout": 0.1} if case == "timeout" else {}


@pytest.mark.guarantee("M-13")
@pytest.mark.parametrize("worker", ["attached", "dedicated"])
@pytest.mark.parametrize("case", CONSUMERS)
async def test_request_and_items_die_with_their_stream(case: str, worker: Any) -> None:
    """Requests of Python callers and yielded items."""
    made.clear()
    async with PooledEngine(handler, worker=worker, flow=FlowConfig(high_water_items=8)) as engine:
        references = []
        for _ in range(4):
            request = Request(case)
            references.append(weakref.ref(request))
            stream = engine(request, **options(case))
            del request
            await CONSUMERS[case](stream)
            del stream
        assert len(made) >= 12
        await all_dead([*references, *made])


@pytest.mark.guarantee("M-13")
@pytest.mark.parametrize("case", CONSUMERS)
async def test_encoded_request_dies_with_its_stream(case: str) -> None:
    body = f'{{"case": "{case}", "mark": "{MARK}", "rows": [{{"id": 1}}, []]}}'.encode()
    async with PooledEngine(handler, flow=FlowConfig(high_water_items=8)) as engine:
        for _ in range(4):
            stream = engine(body, encoded="json", **options(case))
            await CONSUMERS[case](stream)
            del stream
        await all_dead([])


@skips.where("eager tasks came with Python 3.12")
@pytest.mark.parametrize("case", CONSUMERS)
async def test_request_dies_with_its_stream_with_eager_tasks(case: str) -> None:
    await skip_without_eager_tasks()
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined, unused-ignore]
    await test_request_and_items_die_with_their_stream(case, "attached")


@pytest.mark.guarantee("M-13")
async def test_unary_request_dies_with_its_call() -> None:
    async def unary(request: Request) -> dict[str, str]:
        await asyncio.sleep(0)
        return {"case": request.case}

    async with PooledEngine(unary, unary=True) as engine:
        request = Request("unary")
        reference = weakref.ref(request)
        assert await engine.call(request) == {"case": "unary"}
        del request
        await all_dead([reference])


async def test_request_of_a_call_that_never_starts_dies_with_its_stream() -> None:
    async with PooledEngine(handler, flow=FlowConfig(max_concurrency=1)) as engine:
        busy = engine(Request("parked"))
        await take(busy, 1)
        request = Request("finished")
        reference = weakref.ref(request)
        waiting = engine(request)
        del request
        step = asyncio.ensure_future(waiting.__anext__())
        await until(lambda: engine.stats().streams.queued == 1, "it waits for a place")
        await waiting.aclose()
        await asyncio.gather(step, return_exceptions=True)
        del waiting, step
        await all_dead([reference])
        await busy.aclose()


@pytest.mark.guarantee("M-11")
async def test_waiting_request_is_bytes_until_its_handler_begins() -> None:
    body = f'{{"case": "finished", "mark": "{MARK}", "rows": [[]]}}'.encode()
    async with PooledEngine(handler, flow=FlowConfig(max_concurrency=1)) as engine:
        busy = engine(Request("parked"))
        await take(busy, 1)
        waiting = [asyncio.ensure_future(collect(engine(body, encoded="json"))) for _ in range(8)]
        await until(lambda: engine.stats().streams.queued == 8, "all wait for a place")
        assert decoded_requests() == 0
        await busy.aclose()
        assert [len(items) for items in await asyncio.gather(*waiting)] == [3] * 8
        await all_dead([])


@pytest.mark.guarantee("M-13")
def test_request_of_blocking_iteration_dies_with_it() -> None:
    with PooledEngine(handler) as engine:
        request = Request("finished")
        reference = weakref.ref(request)
        items = engine.iter(request)
        del request
        assert len(list(items)) == 3
        del items
        wait_until(lambda: reference() is None, lambda: f"dead: {sys.getrefcount(reference())}")


@pytest.mark.guarantee("M-19")
@pytest.mark.parametrize("worker", ["attached", "dedicated"])
async def test_stream_that_goes_on_does_not_grow(worker: Any) -> None:
    async def endless(request: int) -> AsyncIterator[object]:
        for number in itertools.count(request):
            yield {"n": number}

    async def pass_over(count: int) -> pybridge.MemoryStats:
        for _ in range(count):
            await anext(stream)
        return pybridge.memory()

    async with PooledEngine(endless, worker=worker) as engine, engine(10**6) as stream:
        before = await pass_over(5_000)
        after = await pass_over(30_000)
    assert after.python_blocks - before.python_blocks < 5_000
    assert after.malloc_in_use - before.malloc_in_use < 8 * 20_000
