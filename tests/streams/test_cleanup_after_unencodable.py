"""The cleanup of a handler whose item could not be encoded: its stream has an ending already."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest

from pybridge import Context, FlowConfig, PooledEngine, Stream, from_sync

from support.engines import EngineMaker
from support.logs import reports
from support.reference import outcome_of
from support.waiting import until, wait_until


async def is_unencodable(stream: Stream[Any]) -> bool:
    ending = (await outcome_of(stream)).ending
    return ending is not None and ending.startswith("EncodeError")


class Cleanup:
    """A handler whose item cannot be encoded, and whose cleanup waits until the test lets it go on."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.felt: list[str] = []

    async def handle(self, request: object, context: Context) -> AsyncGenerator[object, None]:
        self.context, self.loop, self.go = context, asyncio.get_running_loop(), asyncio.Event()
        self.task = asyncio.current_task()
        try:
            yield object()
        except BaseException as error:
            self.felt.append(type(error).__name__)
            raise
        finally:
            self.reached.set()
            try:
                await self.go.wait()
                self.felt.append("done")
            except asyncio.CancelledError:
                self.felt.append("cut short")
                raise

    def release(self) -> None:
        self.loop.call_soon_threadsafe(self.go.set)


@pytest.mark.guarantee("S-08")
@pytest.mark.parametrize("reason", ["caller", "deadline", "leaving", "shutdown"])
async def test_cleanup_after_an_item_that_cannot_be_encoded_is_not_cut_short(
    make_engine: EngineMaker, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever else would cancel the stream meanwhile."""
    cleanup = Cleanup()
    engine = make_engine(cleanup.handle)
    stream = engine(None, timeout=0.05 if reason == "deadline" else None)
    reader: asyncio.Task[object] = asyncio.create_task(outcome_of(stream))
    await until(cleanup.reached.is_set, "the cleanup waits")
    match reason:
        case "caller":
            cleanup.context.cancel()
        case "deadline":
            await until(lambda: cleanup.context.remaining() == 0, "the deadline has passed")
        case "leaving":
            reader.cancel()
            reader = asyncio.create_task(stream.aclose())
        case "shutdown":
            engine.close()
    await until(lambda: cleanup.context.cancelled, "the stream is asked to stop")
    cleanup.release()
    await reader
    await until(lambda: engine.stats().streams.live == 0, "the handler has ended")
    assert cleanup.felt == ["GeneratorExit", "done"]
    assert engine.stats().streams.raised == 1
    assert engine.stats().errors == {"EncodeError": 1}
    assert reports(caplog) == []


@pytest.mark.guarantee("S-08")
async def test_cleanup_after_an_item_that_cannot_be_encoded_has_the_grace(make_engine: EngineMaker) -> None:
    cleanup = Cleanup()
    engine = make_engine(cleanup.handle, flow=FlowConfig(cancel_grace=0.1))
    assert await is_unencodable(engine(None))
    await until(lambda: cleanup.felt == ["GeneratorExit", "cut short"], "the cleanup is cut short")
    assert engine.stats().streams.raised == 1
    assert engine.stats().streams.close_timeout == 1


@pytest.mark.guarantee("S-07")
async def test_task_group_that_holds_nothing_but_the_close_is_no_failure(
    make_engine: EngineMaker, caplog: pytest.LogCaptureFixture
) -> None:
    felt: list[str] = []

    async def handler(request: object) -> AsyncGenerator[object, None]:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(60))
                async with asyncio.TaskGroup():
                    yield object()
        finally:
            felt.append("closed")

    engine = make_engine(handler)
    assert await is_unencodable(engine(None))
    assert felt == ["closed"]
    assert engine.stats().streams.close_error == 0
    assert reports(caplog) == []


async def test_failure_beside_the_close_in_a_task_group_is_logged(
    make_engine: EngineMaker, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("of a neighbour")

    async def handler(request: object) -> AsyncGenerator[object, None]:
        async with asyncio.TaskGroup() as group:
            try:
                yield object()
            finally:
                group.create_task(fail())
                await asyncio.sleep(0)
                await asyncio.sleep(0)

    engine = make_engine(handler)
    assert await is_unencodable(engine(None))
    assert engine.stats().streams.close_error == 1
    await until(lambda: reports(caplog), "it is logged")
    assert "failed while it was closed" in reports(caplog)[0]


def test_synchronous_handler_that_iterates_a_nested_stream_is_left_in_silence(
    caplog: pytest.LogCaptureFixture,
) -> None:
    nested_waits = threading.Event()

    async def inner(request: object) -> AsyncGenerator[int, None]:
        yield 0
        nested_waits.set()
        await asyncio.Event().wait()

    nested = PooledEngine(inner)

    def outer(request: object) -> Generator[Any, None, None]:
        yield from nested.iter(None)

    engine = PooledEngine(from_sync(outer))
    iterator = engine.iter(None)
    assert next(iterator) == 0
    wait_until(nested_waits.is_set, "the nested handler waits")
    iterator.close()  # type: ignore[attr-defined]
    wait_until(lambda: engine.stats().streams.live == 0 == nested.stats().streams.live, "both have ended")
    assert reports(caplog) == []
