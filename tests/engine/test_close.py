"""The end of engines: `close()`, `aclose()`, and engines that nobody holds any more."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from pybridge import Context, EngineClosed, FlowConfig, PooledEngine, StreamCancelled

from support.consumers import collect, take
from support.engines import EngineMaker
from support.logs import reports
from support.waiting import turns, until


async def many(request: Any) -> AsyncGenerator[int, None]:
    """A handler that sometimes waits."""
    for number in range(500):
        if number % 50 == 0:
            await asyncio.sleep(0)
        yield number


def test_engine_shows_its_codec_and_state_even_half_made() -> None:
    engine = PooledEngine(many, codec="json", name="chat")
    assert repr(engine) == "<PooledEngine chat in json: serving>"
    blocking = engine.iter(0)
    assert repr(blocking) == "<blocking pybridge.Stream of items in json: not started>"
    assert len(list(blocking)) == 500
    assert repr(blocking).endswith(": closed>")
    engine.close()
    assert repr(engine) == "<PooledEngine chat in json: closed>"
    assert repr(PooledEngine.__new__(PooledEngine)) == "<PooledEngine: not made>"


@pytest.mark.guarantee("M-15")
def test_engines_that_their_handlers_close_over_are_collected() -> None:
    threads = threading.active_count()
    alive: list[weakref.ref[PooledEngine]] = []

    def make() -> None:
        async def handler(request: object) -> AsyncGenerator[str, None]:
            yield repr(engine)

        engine = PooledEngine(handler, worker="dedicated")
        alive.append(weakref.ref(engine))
        if len(alive) % 500 == 0:
            assert list(engine.iter(None))

    make()
    for _ in range(10_000):
        make()
    gc.collect()
    assert [ref for ref in alive if ref()] == []
    assert threading.active_count() <= threads + 1


async def test_engine_may_go_before_its_streams(make_engine: EngineMaker) -> None:
    async def handler(request: object) -> AsyncGenerator[int, None]:
        for number in range(10):
            await asyncio.sleep(0)
            yield number

    streams = [make_engine(handler)(None) for _ in range(10)]
    gc.collect()
    assert [await collect(stream) for stream in streams] == [list(range(10))] * 10


@pytest.mark.guarantee("E-12")
async def test_closing_delivers_what_was_made_and_cancels_the_rest(make_engine: EngineMaker) -> None:
    seen: list[str | None] = []
    waiting: list[str] = []

    async def handler(request: str, context: Context) -> AsyncGenerator[int, None]:
        try:
            for number in range(20):
                await asyncio.sleep(0)
                yield number
            if request == "endless":
                waiting.append(request)
                await asyncio.Event().wait()
        finally:
            seen.append(context.cancel_reason)

    engine = make_engine(handler)
    finite = [asyncio.create_task(collect(engine("finite"))) for _ in range(10)]
    endless = [engine("endless") for _ in range(3)]
    for stream in endless:
        await anext(stream)
    closing = asyncio.create_task(engine.aclose(60))
    await turns(1)
    with pytest.raises(EngineClosed):
        await anext(engine("finite"))
    assert await asyncio.gather(*finite) == [list(range(20))] * 10
    await until(lambda: len(waiting) == 3, "the endless streams wait")
    assert not closing.done()
    engine.close()
    await closing
    for stream in endless:
        assert await take(stream, 19) == list(range(1, 20))
        with pytest.raises(StreamCancelled) as caught:
            await anext(stream)
        assert caught.value.reason == "shutdown"
    assert sorted(seen, key=str) == [None] * 10 + ["shutdown"] * 3
    await engine.aclose()
    with pytest.raises(EngineClosed):
        await anext(engine("finite"))


@pytest.mark.guarantee("E-13")
async def test_nested_calls_go_on_while_their_root_drains(make_engine: EngineMaker) -> None:
    release: list[Any] = []

    async def handler(request: str) -> AsyncGenerator[str, None]:
        yield request
        if request == "outer":
            event = asyncio.Event()
            release.append((asyncio.get_running_loop(), event))
            await event.wait()
            yield await engine.call("inner")

    engine = make_engine(handler)
    stream = engine("outer")
    assert await anext(stream) == "outer"
    closing = asyncio.create_task(engine.aclose())
    await turns(2)
    for loop, event in release:
        loop.call_soon_threadsafe(event.set)
    assert await collect(stream) == ["inner"]
    await closing


@pytest.mark.guarantee("E-12")
async def test_closed_on_its_loop_an_engine_ends_calls_that_wait_for_a_place() -> None:
    async def handler(request: object) -> AsyncGenerator[int, None]:
        yield 1
        await asyncio.Event().wait()

    engine = PooledEngine(handler, worker="attached", flow=FlowConfig(max_concurrency=1))
    first = engine(None)
    await anext(first)
    waiting = asyncio.create_task(collect(engine(object())))
    await until(lambda: engine.stats().streams.queued == 1, "one waits")
    engine.close()
    for reader in (waiting, asyncio.create_task(collect(first))):
        with pytest.raises(StreamCancelled) as caught:
            await reader
        assert caught.value.reason == "shutdown"


@pytest.mark.guarantee("E-12")
def test_close_on_a_plain_thread_returns_after_the_endings() -> None:
    cleaned: list[int] = []

    async def handler(request: object) -> AsyncGenerator[int, None]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append(1)

    engine = PooledEngine(handler, worker="dedicated")
    stream = engine.iter(None)
    assert next(stream) == 1
    engine.close()
    engine.close()
    assert cleaned == [1]
    with pytest.raises(StreamCancelled):
        next(stream)


async def test_wait_for_streams_that_somebody_holds_is_logged(
    make_engine: EngineMaker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def waits(request: object) -> AsyncGenerator[int, None]:
        yield 0
        await asyncio.Event().wait()

    monkeypatch.setattr("pybridge.engine.PATIENCE", 0.02)
    engine = make_engine(waits)
    stream = engine(None)
    assert await anext(stream) == 0
    closing = asyncio.ensure_future(engine.aclose())
    await until(lambda: bool(reports(caplog)), "the wait is logged")
    assert not closing.done()
    assert "1 are live. One that was left half read" in caplog.text
    await stream.aclose()
    await closing
    assert len(reports(caplog)) == 1


@pytest.mark.guarantee("E-13")
async def test_closing_waits_no_longer_than_it_was_told(make_engine: EngineMaker) -> None:
    async def waits(request: object) -> AsyncGenerator[int, None]:
        yield 0
        await asyncio.Event().wait()

    engine = make_engine(waits)
    stream = engine(None)
    assert await anext(stream) == 0
    await engine.aclose(0.05)
    with pytest.raises(StreamCancelled, match="shutdown"):
        await anext(stream)


async def test_handler_that_would_wait_for_its_own_end_is_told(make_engine: EngineMaker) -> None:
    async def waits(how: str) -> AsyncGenerator[str, None]:
        yield "begun"
        if how == "nested":
            async for item in inner(None):
                yield item
        elif how == "task of its own":
            others.append(asyncio.ensure_future(outer.aclose()))
            yield "closing"
        else:
            await outer.aclose(None if how == "forever" else 0)

    async def closes_outer(_: object) -> AsyncGenerator[str, None]:
        async with outer:
            yield "nested"

    others: list[asyncio.Future[None]] = []
    outer = make_engine(waits)
    inner = make_engine(closes_outer)
    for how in ("forever", "nested"):
        with pytest.raises(RuntimeError, match="wait for its own end"):
            await collect(outer(how))
    assert await collect(outer("task of its own")) == ["begun", "closing"]
    await outer.aclose()
    outer = make_engine(waits)
    with pytest.raises(StreamCancelled, match="shutdown"):
        await collect(outer("at once"))


@pytest.mark.parametrize("timeout", [-1.0, float("nan")])
async def test_time_to_wait_for_the_end_that_cannot_be_is_refused_before_anything_happens(timeout: float) -> None:
    engine = PooledEngine(many)
    with pytest.raises(ValueError, match="timeout"):
        engine.close(timeout)
    with pytest.raises(ValueError, match="timeout"):
        await engine.aclose(timeout)
    assert await take(engine(None), 1) == [0]
    await engine.aclose(float("inf"))
    with pytest.raises(EngineClosed):
        await anext(engine(None))
