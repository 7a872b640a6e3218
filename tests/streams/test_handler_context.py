"""The `Context` of a call: what a handler can know of its call, and wait for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

import pytest

import pybridge
from pybridge import Context, StreamCancelled

from support.consumers import collect
from support.engines import EngineMaker
from support.waiting import until


@pytest.mark.guarantee("H-10")
async def test_handler_sees_who_called(make_engine: EngineMaker) -> None:
    seen: list[Context] = []

    async def handler(request: object, context: Context) -> AsyncGenerator[Any, None]:
        seen.append(context)
        assert pybridge.current_context() is context
        remaining = context.remaining()
        assert context.deadline is not None
        assert remaining is not None
        assert abs(context.deadline - time.monotonic() - remaining) < 1
        yield [context.id, dict(context.metadata), context.traceparent, context.tracestate, context.state]
        yield [context.cancelled, context.cancel_reason, 0 < remaining <= 30]

    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
    options: dict[str, Any] = {"traceparent": trace, "tracestate": "a=1", "timeout": 30}
    engine = make_engine(handler)
    assert await collect(engine(None, request_id="r1", metadata={"k": "v"}, **options)) == [
        ["r1", {"k": "v"}, trace, "a=1", None],
        [False, None, True],
    ]
    assert seen[0].cancelled is False
    with pytest.raises(TypeError):
        seen[0].metadata["k"] = "w"  # type: ignore[index]


@pytest.mark.guarantee("H-16")
async def test_trace_goes_on_to_nested_calls_unread(make_engine: EngineMaker) -> None:
    async def inner(request: object, context: Context) -> AsyncGenerator[Any, None]:
        yield [context.traceparent, context.tracestate, dict(context.metadata)]

    async def outer(request: object, context: Context) -> AsyncGenerator[Any, None]:
        yield await nested.call(None)
        yield await nested.call(None, traceparent="own", metadata={"baggage": "c=3"})
        yield await nested.call(None, parent=None)

    nested, engine = make_engine(inner), make_engine(outer)
    # Not sampled, and none of it well-formed: it is none of the bridge's business.
    call = engine(None, traceparent="00-x-00", tracestate="a=1,?", metadata={"baggage": "b=2", "user": "u"})
    assert await collect(call) == [
        ["00-x-00", "a=1,?", {"baggage": "b=2"}],
        ["own", None, {"baggage": "c=3"}],
        [None, None, {}],
    ]


@pytest.mark.guarantee("H-16")
async def test_trace_is_the_same_two_calls_further_and_no_other_streams(make_engine: EngineMaker) -> None:
    """Byte for byte, sampled or not; streams side by side keep their own."""

    async def inner(request: object, context: Context) -> AsyncGenerator[Any, None]:
        for _ in range(3):
            yield [context.traceparent, context.tracestate, context.metadata.get("baggage")]
            await asyncio.sleep(0)

    async def middle(request: object) -> AsyncGenerator[Any, None]:
        async for item in ends(request):
            yield item

    async def outer(request: object) -> AsyncGenerator[Any, None]:
        async for item in middles(request):
            yield item

    ends, middles, engine = make_engine(inner), make_engine(middle), make_engine(outer)
    traces = [
        (f"00-{number:032X}-{number + 1:016x}-{number % 2:02}", f"a={number},  b=?;é,", f"key={number} ; p=%20")
        for number in range(32)
    ]
    streams = [
        engine(None, traceparent=traceparent, tracestate=tracestate, metadata={"baggage": baggage})
        for traceparent, tracestate, baggage in traces
    ]
    found = await asyncio.gather(*(collect(stream) for stream in streams))
    assert found == [[list(trace)] * 3 for trace in traces]


@pytest.mark.guarantee("H-11")
async def test_current_context_is_found_below_the_handler_and_nowhere_else(make_engine: EngineMaker) -> None:
    async def below() -> str:
        await asyncio.sleep(0)
        return pybridge.current_context().id

    async def handler(request: object) -> AsyncGenerator[str, None]:
        yield await below()
        yield await asyncio.create_task(below())
        yield await asyncio.to_thread(lambda: pybridge.current_context().id)

    engine = make_engine(handler)
    assert await collect(engine(None, request_id="r2")) == ["r2"] * 3
    with pytest.raises(LookupError):
        pybridge.current_context()


async def test_made_up_request_ids_differ(make_engine: EngineMaker) -> None:
    async def handler(request: object, context: Context) -> AsyncGenerator[str, None]:
        yield context.id
        yield context.id

    engine = make_engine(handler)
    ids = [await collect(engine(None)) for _ in range(10)]
    assert all(first == second for first, second in ids)
    assert len({first for first, _ in ids}) == 10


@pytest.mark.guarantee("M-19")
async def test_waiting_for_a_cancel_that_never_comes_ends_with_the_stream(make_engine: EngineMaker) -> None:
    answers: list[bool] = []

    async def watch(context: Context) -> None:
        answers.append(await context.wait_cancelled())

    async def handler(request: object, context: Context) -> AsyncGenerator[int, None]:
        watcher = asyncio.create_task(watch(context))
        watcher.add_done_callback(keep.discard)
        keep.add(watcher)
        await asyncio.sleep(0)
        yield 1

    keep: set[asyncio.Task[None]] = set()
    engine = make_engine(handler)
    for _ in range(50):
        await asyncio.gather(*(collect(engine(None)) for _ in range(10)))
    await until(lambda: not keep, "all watchers are done")
    assert answers == [False] * 500


@pytest.mark.guarantee("M-19")
async def test_waits_that_were_given_up_are_not_kept(make_engine: EngineMaker) -> None:
    """Or a stream that never ends would grow."""
    import gc

    async def handler(request: object, context: Context) -> AsyncGenerator[int, None]:
        before = cancelled()  # eager tasks of CPython 3.12 may have left some
        tasks = [asyncio.create_task(context.wait_cancelled()) for _ in range(200)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        del task, tasks
        yield cancelled() - before

    def cancelled() -> int:
        return sum(isinstance(thing, asyncio.Future) and thing.cancelled() for thing in gc.get_objects())

    assert await collect(make_engine(handler)(None)) == [0]


async def test_context_can_be_kept_after_the_stream(make_engine: EngineMaker) -> None:
    kept: list[Context] = []

    async def handler(request: object, context: Context) -> AsyncGenerator[int, None]:
        kept.append(context)
        yield 1
        await asyncio.Event().wait()

    stream = make_engine(handler)(None)
    await anext(stream)
    kept[0].cancel()
    with pytest.raises(StreamCancelled) as caught:
        await anext(stream)
    assert caught.value.reason == kept[0].cancel_reason == "caller"
    assert kept[0].cancelled
    assert "request" in repr(kept[0])
