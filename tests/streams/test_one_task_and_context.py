"""One asyncio task and one `contextvars.Context` per stream, from the handler's first step to its cleanup."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

import anyio
import pytest

import pybridge
from pybridge import FlowConfig

from support.consumers import SlowConsumer, collect, take
from support.engines import EngineMaker
from support.waiting import until

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


class Recorder:
    """A handler that holds on to everything that is bound to one task and one context."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.tasks: set[asyncio.Task[Any] | None] = set()

    async def __call__(self, request: str) -> AsyncGenerator[int, None]:
        token = variable.set("stream")
        try:
            with anyio.CancelScope():
                for number in range(5):
                    self.note()
                    yield number
                    await asyncio.sleep(0)
                    self.note()
                if request == "raise":
                    raise ValueError("asked to")
                if request == "wait":
                    await asyncio.Event().wait()
        finally:
            self.note()
            await asyncio.sleep(0)
            self.note()
            variable.reset(token)
            self.log.append("reset")

    def note(self) -> None:
        self.tasks.add(asyncio.current_task())
        self.log.append(variable.get())


@pytest.mark.guarantee("H-12")
@pytest.mark.parametrize("way", ["complete", "drop", "raise", "cancel at await"])
async def test_task_and_context_are_the_same_from_first_step_to_cleanup(make_engine: EngineMaker, way: str) -> None:
    handler = Recorder()
    engine = make_engine(handler)
    if way == "complete":
        assert await collect(engine("go")) == [0, 1, 2, 3, 4]
    elif way == "raise":
        with pytest.raises(ValueError, match="asked to"):
            await collect(engine("raise"))
    elif way == "drop":
        stream = engine("wait")
        assert await take(stream, 5) == [0, 1, 2, 3, 4]
        del stream
    else:
        async with engine("wait") as stream:
            assert await take(stream, 5) == [0, 1, 2, 3, 4]
    await until(lambda: handler.log[-1:] == ["reset"], "the handler has reset its variable")
    assert set(handler.log) == {"stream", "reset"}
    assert len(handler.tasks) == 1
    assert variable.get() == "unset"


@pytest.mark.guarantee("H-12")
async def test_aclose_runs_in_the_streams_own_task(make_engine: EngineMaker) -> None:
    """After an item that cannot be encoded the generator is closed where it ran."""
    tasks: list[asyncio.Task[Any] | None] = []
    closed_by: list[str] = []

    async def handler(request: object) -> AsyncGenerator[Any, None]:
        tasks.append(asyncio.current_task())
        try:
            yield object()
        except GeneratorExit:
            closed_by.append("exit")
            raise
        finally:
            tasks.append(asyncio.current_task())

    with pytest.raises(pybridge.EncodeError):
        await collect(make_engine(handler)(None))
    assert closed_by == ["exit"]
    assert tasks[0] is tasks[1] is not None


@pytest.mark.guarantee("H-13")
async def test_context_of_a_stream_is_a_copy_of_the_callers_at_the_call(make_engine: EngineMaker) -> None:
    async def handler(request: str) -> AsyncGenerator[str, None]:
        yield variable.get()
        variable.set(request)
        yield variable.get()

    engine = make_engine(handler)
    token = variable.set("caller")
    streams = [engine(name) for name in "abc"]
    variable.reset(token)
    assert [await collect(stream) for stream in streams] == [["caller", name] for name in "abc"]
    assert variable.get() == "unset"


@pytest.mark.guarantee("H-13")
async def test_changes_of_one_stream_are_invisible_to_others_that_run_beside_it(make_engine: EngineMaker) -> None:
    async def handler(request: int) -> AsyncGenerator[str, None]:
        variable.set(str(request))
        for _ in range(20):
            await asyncio.sleep(0)
            yield variable.get()

    engine = make_engine(handler)
    together = await asyncio.gather(*(collect(engine(number)) for number in range(32)))
    assert together == [[str(number)] * 20 for number in range(32)]


@pytest.mark.guarantee("H-12")
async def test_timeout_around_a_yield_fires(make_engine: EngineMaker) -> None:
    async def handler(request: object) -> AsyncGenerator[int, None]:
        async with asyncio.timeout(0.2):
            yield 1
            await asyncio.sleep(60)
            yield 2

    stream = make_engine(handler)(None)
    begun = time.monotonic()
    assert await anext(stream) == 1
    with pytest.raises(TimeoutError):
        await anext(stream)
    assert 0.15 < time.monotonic() - begun < 5
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


@pytest.mark.guarantee("H-12")
async def test_timeout_around_a_yield_fires_while_the_consumer_is_slow(make_engine: EngineMaker) -> None:
    """The time spent waiting for credit counts."""
    caught: list[str] = []

    async def handler(request: object) -> AsyncGenerator[int, None]:
        try:
            async with asyncio.timeout(0.1):
                while True:
                    yield 1
        except TimeoutError:
            task = asyncio.current_task()
            assert task
            caught.append(f"{task.cancelling()}")
        yield 2

    engine = make_engine(handler, flow=FlowConfig(high_water_items=4))
    async with SlowConsumer(engine(None)) as consumer:
        consumer.allow(1)
        await until(lambda: caught, "the handler's own timeout fired")
        assert caught == ["0"]
        consumer.allow(100)
        await until(lambda: consumer.items[-1:] == [2], "the handler went on")


@pytest.mark.guarantee("H-12")
async def test_nested_timeouts_and_task_groups_work_across_yields(make_engine: EngineMaker) -> None:
    async def handler(request: object) -> AsyncGenerator[str, None]:
        async with asyncio.timeout(60):
            yield "outer"
            with suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    yield "inner"
                    await asyncio.sleep(60)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(fail())
                    yield "group"
                    await asyncio.sleep(60)
            except* ValueError:
                yield "failed"
        task = asyncio.current_task()
        assert task
        yield f"cancelling {task.cancelling()}"

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError

    assert await collect(make_engine(handler)(None)) == ["outer", "inner", "group", "failed", "cancelling 0"]


@pytest.mark.guarantee("H-12")
async def test_nested_cancel_scopes_of_anyio_work_across_yields(make_engine: EngineMaker) -> None:
    async def handler(request: object) -> AsyncGenerator[str, None]:
        with anyio.CancelScope() as outer:
            with anyio.move_on_after(0.05) as inner:
                yield "inner"
                await anyio.sleep(60)
            assert inner.cancelled_caught
            with anyio.CancelScope(shield=True):
                outer.cancel()
                await asyncio.sleep(0)
                yield "shielded"
            await asyncio.sleep(0)
            yield "never"
        assert outer.cancelled_caught
        yield "after"

    assert await collect(make_engine(handler)(None)) == ["inner", "shielded", "after"]
