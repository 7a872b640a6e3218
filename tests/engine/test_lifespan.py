"""Lifespans of engines: entered before the first handler, left after the last one, and those that fail."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest

from pybridge import Context, FlowConfig, HandlerExit, PooledEngine, StreamCancelled

from support.consumers import collect, take
from support.engines import EngineMaker
from support.logs import reports
from support.waiting import until


async def many(request: Any) -> AsyncGenerator[int, None]:
    for number in range(500):
        yield number


class Lifespan:
    """Notes when it is entered and left, and which streams were live then."""

    def __init__(self) -> None:
        self.log: list[str] = []

    @contextlib.asynccontextmanager
    async def __call__(self) -> AsyncIterator[str]:
        await asyncio.sleep(0)
        self.log.append("entered")
        yield "state"
        await asyncio.sleep(0)
        self.log.append("left")

    async def handler(self, request: str, context: Context) -> AsyncGenerator[Any, None]:
        try:
            yield context.state
            if request == "wait":
                await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            self.log.append("handler done")


@pytest.mark.guarantee("E-14")
async def test_lifespan_surrounds_all_streams(make_engine: EngineMaker) -> None:
    lifespan = Lifespan()
    engine = make_engine(lifespan.handler, lifespan=lifespan)
    assert await asyncio.gather(*(engine.call("go") for _ in range(5))) == ["state"] * 5
    stream = engine("wait")
    assert await anext(stream) == "state"
    await engine.aclose(0)
    assert lifespan.log == ["entered", *["handler done"] * 6, "left"]
    with pytest.raises(StreamCancelled):
        await anext(stream)


@pytest.mark.guarantee("E-14")
async def test_lifespan_that_fails_fails_the_calls_that_wait_for_it(make_engine: EngineMaker) -> None:
    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        attempts.append(1)
        if attempts:
            raise OSError("no model")
        yield

    attempts: list[int] = []
    engine = make_engine(many, lifespan=lifespan)
    for _ in range(2):
        with pytest.raises(OSError, match="no model"):
            await engine.call(None)
    assert attempts == [1, 1]


@pytest.mark.guarantee("S-10")
@pytest.mark.parametrize("exit_with", [SystemExit, KeyboardInterrupt])
async def test_exit_from_a_lifespan_is_contained_by_a_worker_of_its_own(exit_with: type[BaseException]) -> None:
    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        if not attempts:
            attempts.append(1)
            raise exit_with("enough")
        yield

    attempts: list[int] = []
    async with PooledEngine(many, lifespan=lifespan, worker="dedicated") as engine:
        with pytest.raises(HandlerExit, match="enough") as raised:
            await engine.call(None)
        assert isinstance(raised.value.__cause__, exit_with)
        assert await take(engine(None), 2) == [0, 1]


async def test_call_given_up_while_the_lifespan_is_entered_ends_at_once(make_engine: EngineMaker) -> None:
    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        entering.append((asyncio.get_running_loop(), event := asyncio.Event()))
        await event.wait()
        yield

    entering: list[Any] = []
    engine = make_engine(many, lifespan=lifespan, flow=FlowConfig(cancel_grace=1000))
    stream = engine(None)
    reader = asyncio.ensure_future(stream.__anext__())
    await until(lambda: entering, "the lifespan is being entered")
    await stream.aclose()
    with pytest.raises(StopAsyncIteration):
        await reader
    for loop, event in entering:
        loop.call_soon_threadsafe(event.set)
    assert (await take(engine(None), 1)) == [0]
    await engine.aclose(0)


class Bare(BaseException):
    """Nothing that a loop or the process is ended by."""


async def test_bare_exception_of_a_lifespan_that_is_entered_is_told_to_its_callers_only(
    make_engine: EngineMaker, caplog: pytest.LogCaptureFixture
) -> None:
    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        if engine.stats().streams.started:
            raise Bare
        yield

    engine = make_engine(many, lifespan=lifespan)
    with pytest.raises(Bare):
        await engine.call(None)
    await engine.aclose()
    gc.collect()  # asyncio would log what nobody took
    assert reports(caplog) == []


@pytest.mark.parametrize("kind", [ValueError, Bare])
async def test_lifespan_that_fails_to_be_left_is_logged_and_does_not_hold_up_the_end(
    make_engine: EngineMaker, caplog: pytest.LogCaptureFixture, kind: type[BaseException]
) -> None:
    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        yield
        raise kind("left badly")

    engine = make_engine(many, lifespan=lifespan, flow=FlowConfig(cancel_grace=1000), name="leaver")
    gc.disable()
    try:
        assert len(await collect(engine(None))) == 500
        await asyncio.wait_for(engine.aclose(), 10)
    finally:
        gc.enable()
    gc.collect()  # a failure that nobody took would be logged by asyncio now
    assert [(record.name, record.levelname, record.getMessage()) for record in caplog.records] == [
        ("pybridge.engine", "ERROR", "engine leaver: leaving its lifespan failed")
    ]
    assert caplog.records[0].exc_info is not None
    assert "left badly" in str(caplog.records[0].exc_info[1])
