"""A cancelled handler's cleanup: its freedom, its time and its failures."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from pybridge import FlowConfig, StreamCancelled

from support.consumers import collect, take
from support.engines import EngineMaker
from support.logs import reports
from support.waiting import until


class Releases:
    """Events that handlers wait for, set from the test's thread."""

    def __init__(self) -> None:
        self._events: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def event(self) -> asyncio.Event:
        event = asyncio.Event()
        self._events.append((asyncio.get_running_loop(), event))
        return event

    def set(self) -> None:
        for loop, event in self._events:
            loop.call_soon_threadsafe(event.set)


async def read(stream: Any) -> tuple[list[Any], StreamCancelled]:
    """The items of a stream, and the cancellation that ended it."""
    items = []
    with pytest.raises(StreamCancelled) as caught:
        async for item in stream:
            items.append(item)  # noqa: PERF401 - what came before the error counts
    return items, caught.value


@pytest.mark.guarantee("C-08")
async def test_items_after_a_swallowed_cancel_go_nowhere(
    make_engine: EngineMaker, caplog: pytest.LogCaptureFixture
) -> None:
    made: list[int] = []

    async def handler(request: object) -> AsyncGenerator[int, None]:
        yield 0
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            for number in range(1, 1_000):
                made.append(number)
                yield number
                await asyncio.sleep(0.001)

    engine = make_engine(handler, flow=FlowConfig(cancel_grace=0.1))
    items, cancelled = await read(engine(None, timeout=0.3, request_id="tireless"))
    assert (items, cancelled.reason) == ([0], "deadline")
    streams = engine.stats().streams
    assert (streams.close_ignored, streams.close_timeout, streams.live) == (1, 1, 0)
    assert 0 < len(made) < 999
    await until(lambda: len(reports(caplog)) == 2, "both are logged")
    assert reports(caplog) == [
        "request tireless: the handler yields although its stream was ended",
        "request tireless: the handler has not ended within cancel_grace after its stream was; it is left to itself",
    ]


@pytest.mark.guarantee("C-07")
async def test_handler_that_will_not_end_is_left_behind_and_kept(
    make_engine: EngineMaker, caplog: pytest.LogCaptureFixture
) -> None:
    """Its task is referenced until it ends; asyncio alone would let it be collected."""
    releases, ended = Releases(), []

    async def handler(request: object) -> AsyncGenerator[int, None]:
        released = releases.event()
        yield 0
        while not released.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await released.wait()
        ended.append(1)

    engine = make_engine(handler, flow=FlowConfig(cancel_grace=0.05))
    stream = engine(None)
    assert await anext(stream) == 0
    await stream.aclose()
    assert engine.stats().streams.live == 0
    assert engine.stats().streams.close_timeout == 1
    gc.collect()
    assert not ended
    releases.set()
    await until(lambda: ended, "the handler ends by itself")
    (notice,) = reports(caplog)  # and nothing of asyncio's
    assert "not ended within cancel_grace" in notice


@pytest.mark.guarantee("C-07")
@pytest.mark.parametrize("ending", ["cancel", "unencodable"])
@pytest.mark.parametrize("way", ["ignored", "timeout", "error"])
async def test_handler_that_does_not_let_itself_be_closed_is_counted(
    make_engine: EngineMaker, way: str, ending: str
) -> None:
    """Its neighbour goes on, and its place is free after the grace."""
    releases = Releases()

    async def handler(request: str) -> AsyncGenerator[Any, None]:
        try:
            yield object() if request == "unencodable" else 0
            await asyncio.Event().wait()
        finally:
            if request != "neighbour":
                match way:
                    case "ignored":
                        yield "again"
                    case "timeout":
                        event = releases.event()
                        try:
                            await event.wait()
                        except asyncio.CancelledError:
                            await event.wait()
                    case "error":
                        raise OSError("cleanup")

    engine = make_engine(handler, flow=FlowConfig(cancel_grace=0.1, max_concurrency=2))
    async with engine("neighbour") as neighbour:
        assert await anext(neighbour) == 0
        stream = engine(ending)
        if ending == "cancel":
            assert await anext(stream) == 0
            await stream.aclose()
        else:
            with pytest.raises(TypeError):
                await collect(stream)
        streams = engine.stats().streams
        counts = {"ignored": streams.close_ignored, "timeout": streams.close_timeout, "error": streams.close_error}
        assert counts == {name: int(name == way) for name in counts}
        assert streams.live == 1
        async with engine("neighbour") as next_one:
            assert await anext(next_one) == 0
    releases.set()


@pytest.mark.guarantee("C-09")
async def test_exception_of_a_cancelled_handlers_cleanup_is_the_context(
    make_engine: EngineMaker, caplog: pytest.LogCaptureFixture
) -> None:
    """The cancellation stands, the exception is logged and kept as `__context__`."""

    async def handler(request: object) -> AsyncGenerator[int, None]:
        try:
            yield 0
            await asyncio.Event().wait()
        finally:
            raise OSError("cleanup")

    engine = make_engine(handler)
    with caplog.at_level(logging.WARNING, logger="pybridge"):
        items, cancelled = await read(engine(None, timeout=0.05))
    assert (items, cancelled.reason) == ([0], "deadline")
    assert isinstance(cancelled.__context__, OSError)
    assert isinstance(cancelled.__context__.__context__, asyncio.CancelledError)
    assert "closed" in caplog.text
    assert "OSError: cleanup" in caplog.text
    assert engine.stats().streams.cancelled["deadline"] == 1


@pytest.mark.guarantee("C-14")
@pytest.mark.parametrize("waits", [False, True], ids=["at once", "with awaits"])
async def test_nested_handlers_that_wait_clean_up_inner_first(make_engine: EngineMaker, waits: bool) -> None:
    """As generators within each other do; each cleanup is over before the next begins."""
    log: list[str] = []
    resumed: list[str] = []

    def level(name: str, inner: Any) -> Any:
        async def handler(request: object) -> AsyncGenerator[Any, None]:
            try:
                if inner is None:
                    yield 0
                    resumed.append(name)
                    await asyncio.Event().wait()
                async for item in inner(request):
                    yield item
                    resumed.append(name)
            except BaseException as error:
                log.append(f"{name} {type(error).__name__}")
                raise
            finally:
                if waits:
                    await asyncio.sleep(0.01)
                log.append(f"{name} done")

        return handler

    engine = None
    for name in ("inner", "middle", "outer"):
        engine = make_engine(level(name, engine))
    assert engine
    async with engine(None) as stream:
        assert await take(stream, 1) == [0]
        await until(lambda: len(resumed) == 3, "all three wait")
    expected = [f"{name} {what}" for name in ("inner", "middle", "outer") for what in ("CancelledError", "done")]
    assert log == expected


@pytest.mark.guarantee("C-07")
async def test_nested_handler_that_will_not_end_holds_its_caller_for_the_grace_only(make_engine: EngineMaker) -> None:
    releases, log = Releases(), []

    async def stubborn(request: object) -> AsyncGenerator[int, None]:
        released = releases.event()
        yield 0
        while not released.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await released.wait()
        log.append("inner")

    async def caller(request: object) -> AsyncGenerator[int, None]:
        try:
            async for item in inner(request):
                yield item
        finally:
            log.append("outer")

    inner = make_engine(stubborn, flow=FlowConfig(cancel_grace=0.05))
    async with make_engine(caller)(None) as stream:
        assert await anext(stream) == 0
    assert log == ["outer"]
    releases.set()
    await until(lambda: log == ["outer", "inner"], "the inner one ends by itself")


@pytest.mark.guarantee("C-14")
async def test_closed_nested_streams_end_before_their_handlers_go_on(make_engine: EngineMaker) -> None:
    """With `aclosing` the order holds wherever the handlers are."""
    ended: list[str] = []

    async def endless(request: object) -> AsyncGenerator[int, None]:
        while True:
            yield 0
            await asyncio.sleep(0)

    def level(name: str, inner: Any) -> Any:
        async def handler(request: object) -> AsyncGenerator[object, None]:
            try:
                async with contextlib.aclosing(inner(request)) as stream:
                    async for item in stream:
                        yield item
            finally:
                ended.append(name)

        return handler

    engine: Any = endless
    for name in ("inner", "middle", "outer"):
        engine = make_engine(level(name, engine))
    async with engine(None) as stream:
        await anext(stream)
    assert ended == ["inner", "middle", "outer"]
