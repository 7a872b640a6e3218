"""A stream ends exactly once, after its items, and under the right name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from pybridge import EncodeError, LimitExceeded, Limits, PooledEngine, StreamCancelled, current_context

from support.consumers import take
from support.engines import EngineMaker

BEFORE_AND_AFTER = pytest.mark.parametrize("before", [0, 1, 3, 200])


async def outcome(engine: PooledEngine, request: Any) -> tuple[list[Any], BaseException | None]:
    """The items of a stream and how it ended; None: it finished. A stream that has ended stays ended."""
    items: list[Any] = []
    stream, error = engine(request), None
    try:
        async for item in stream:
            items.append(item)  # noqa: PERF401 - what came before an error counts
    except Exception as raised:
        error = raised
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    return items, error


async def failing(request: dict[str, Any]) -> AsyncGenerator[Any, None]:
    """Yields `before` items, then does what `then` says."""
    for index in range(request["before"]):
        yield index
    match request["then"]:
        case "raise":
            raise ValueError("lost")
        case "unencodable":
            yield {"a": [1, object()]}
        case "too deep":
            yield [[[[[[]]]]]]
        case "stop":
            raise StopAsyncIteration
        case "task":
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)
        case "cancel":
            current_context().cancel()
            await asyncio.sleep(0)
    yield "never seen"


@BEFORE_AND_AFTER
async def test_exception_ends_the_stream_after_its_items(make_engine: EngineMaker, before: int) -> None:
    """T-17, S-06, S-07"""
    items, error = await outcome(make_engine(failing), {"before": before, "then": "raise"})
    assert (items, type(error), str(error)) == (list(range(before)), ValueError, "lost")


@BEFORE_AND_AFTER
async def test_unencodable_item_ends_the_stream_after_its_items(make_engine: EngineMaker, before: int) -> None:
    """T-17, T-77, S-08"""
    items, error = await outcome(make_engine(failing), {"before": before, "then": "unencodable"})
    assert items == list(range(before))
    assert isinstance(error, EncodeError)
    assert error.path == "$.a[1]"


async def test_item_over_a_limit_ends_the_stream(make_engine: EngineMaker) -> None:
    """T-17, S-08"""
    engine = make_engine(failing, limits=Limits(max_depth=4))
    items, error = await outcome(engine, {"before": 2, "then": "too deep"})
    assert items == [0, 1]
    assert isinstance(error, LimitExceeded)
    assert error.limit == "max_depth"


@BEFORE_AND_AFTER
async def test_task_cancelled_from_outside_is_no_clean_end(make_engine: EngineMaker, before: int) -> None:
    """T-17"""
    items, error = await outcome(make_engine(failing), {"before": before, "then": "task"})
    assert items == list(range(before))
    assert isinstance(error, StreamCancelled)
    assert error.reason == "external"


async def test_explicit_stop_async_iteration_is_an_error(make_engine: EngineMaker) -> None:
    """T-25"""
    items, error = await outcome(make_engine(failing), {"before": 3, "then": "stop"})
    assert items == [0, 1, 2]
    assert isinstance(error, RuntimeError)


async def test_cancelled_context_ends_the_stream_with_its_reason(make_engine: EngineMaker) -> None:
    """T-37"""
    items, error = await outcome(make_engine(failing), {"before": 3, "then": "cancel"})
    assert items == [0, 1, 2]
    assert isinstance(error, StreamCancelled)
    assert error.reason == "caller"


@pytest.mark.parametrize("then", ["raise", "unencodable", "too deep", "stop", "task", "cancel"])
async def test_engine_serves_the_next_stream_after_any_failure(make_engine: EngineMaker, then: str) -> None:
    """S-35"""
    engine = make_engine(failing)
    _, error = await outcome(engine, {"before": 1, "then": then})
    assert error is not None or then == "too deep"
    assert await outcome(engine, {"before": 2, "then": "go on"}) == ([0, 1, "never seen"], None)


async def test_stream_cancelled_before_its_first_step_calls_no_handler(make_engine: EngineMaker) -> None:
    """S-05"""
    called = []

    async def handler(request: int) -> AsyncGenerator[int, None]:
        called.append(request)
        yield request

    engine = make_engine(handler)
    stream = engine(1)
    await stream.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    assert called == []
    assert await take(engine(3), 1) == [3]


async def test_stream_closed_where_it_waits_for_a_place_calls_no_handler(make_engine: EngineMaker) -> None:
    """S-05"""
    from pybridge import FlowConfig

    called = []

    async def handler(request: int) -> AsyncGenerator[int, None]:
        called.append(request)
        yield request
        await asyncio.Event().wait()

    engine = make_engine(handler, flow=FlowConfig(max_concurrency=1))
    async with engine(1) as first:
        assert await anext(first) == 1
        async with engine(2):
            assert engine.stats().streams.queued == 1
    assert called == [1]
