"""Attached loops come, go and move; dedicated workers stay. No stream is left without an ending."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import weakref
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from pybridge import FlowConfig, PooledEngine, StreamCancelled

from support import skips
from support.consumers import collect, take
from support.engines import EngineMaker
from support.loops import FACTORIES, skip_without_eager_tasks
from support.processes import PythonRunner
from support.reference import drive, outcome_of
from support.waiting import turns, until

Loops = Callable[[], asyncio.AbstractEventLoop]


async def count(request: int) -> AsyncGenerator[int, None]:
    for number in range(request):
        await asyncio.sleep(0)
        yield number


async def endless(request: object) -> AsyncGenerator[int, None]:
    yield 0
    await asyncio.Event().wait()


def test_two_loops_that_take_turns_on_one_thread_keep_their_streams_apart(loop_factory: Loops) -> None:
    engine = PooledEngine(count)
    with asyncio.Runner(loop_factory=loop_factory) as one, asyncio.Runner(loop_factory=loop_factory) as other:
        streams = [(runner, engine(4)) for runner in (one, other)]
        for number in range(4):
            for runner, stream in streams:
                assert runner.run(take(stream, 1)) == [number]
        for runner, stream in streams:
            assert runner.run(collect(stream)) == []


@pytest.mark.guarantee("E-06")
def test_streams_of_a_closed_loop_end_as_cancelled_from_outside(loop_factory: Loops) -> None:
    engine = PooledEngine(endless, worker="attached")
    loop = loop_factory()
    streams = [engine(None) for _ in range(5)]
    for stream in streams:
        loop.run_until_complete(take(stream, 1))
    loop.close()
    assert engine.stats().streams.live == 0
    assert engine.stats().streams.cancelled["external"] == 5

    async def read() -> None:
        for stream in streams:
            with pytest.raises(StreamCancelled) as caught:
                await anext(stream)
            assert caught.value.reason == "external"
        assert await collect(PooledEngine(count)(2)) == [0, 1]

    asyncio.run(read())


@pytest.mark.guarantee("E-06")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_loop_closed_by_another_thread_than_ran_it_leaves_no_stream(loop_factory: Loops) -> None:
    engine = PooledEngine(endless, worker="attached")
    loop = loop_factory()
    stream = engine(None)
    thread = threading.Thread(target=lambda: loop.run_until_complete(take(stream, 1)))
    thread.start()
    thread.join()
    loop.close()
    assert engine.stats().streams.live == 0


@pytest.mark.guarantee("E-07")
def test_loop_that_moves_to_another_thread_takes_its_streams_along(loop_factory: Loops) -> None:
    """A loop that is merely stopped is a stall."""
    engine = PooledEngine(count, worker="attached")
    loop = loop_factory()
    stream = engine(300)
    taken: list[int] = []
    try:
        for _ in range(3):
            run = lambda: taken.extend(loop.run_until_complete(take(stream, 100)))  # noqa: E731
            thread = threading.Thread(target=run)
            thread.start()
            thread.join()
        assert taken == list(range(300))
        assert loop.run_until_complete(collect(stream)) == []
    finally:
        loop.close()


@pytest.mark.guarantee("E-09")
async def test_nested_call_runs_on_the_worker_that_makes_it(make_engine: EngineMaker) -> None:
    async def inner(request: object) -> AsyncGenerator[int, None]:
        yield threading.get_ident()

    async def outer(request: object) -> AsyncGenerator[bool, None]:
        for placement in ("auto", "attached", "dedicated"):
            engine: Any = PooledEngine(inner, worker=placement)
            yield await engine.call(None) == threading.get_ident()

    assert await collect(make_engine(outer)(None)) == [True] * 3


def test_burst_of_resumes_is_one_wakeup() -> None:
    """Commands that pile up while a loop is busy cost one wake-up."""
    begun, go_on = threading.Event(), threading.Event()

    async def blocker(request: object) -> AsyncGenerator[int, None]:
        begun.set()
        assert go_on.wait(10)
        yield 1

    engine = PooledEngine(blocker, worker="dedicated")
    calls = PooledEngine(count, worker="dedicated")
    assert list(calls.iter(1)) == [0]

    def wakeups() -> int:
        return calls.stats().wakeups

    blocked = engine.iter(None)
    thread = threading.Thread(target=lambda: taken.append(next(blocked)))
    taken: list[int] = []
    thread.start()
    assert begun.wait(10)

    async def burst() -> None:
        consumers = [asyncio.create_task(collect(calls(1))) for _ in range(2_000)]
        await until(lambda: calls.stats().streams.live == 2_000, "all calls are posted")
        posted.append(wakeups())
        go_on.set()
        assert await asyncio.gather(*consumers) == [[0]] * 2_000

    before = wakeups()
    posted: list[int] = []
    asyncio.run(burst())
    thread.join()
    assert taken == [1]
    # One for the busy worker; the loops that wait beside it may be woken as well.
    assert posted[0] - before <= 3


@pytest.mark.guarantee("M-15")
def test_a_loop_dropped_with_live_streams_is_collected_with_them(run_python: PythonRunner) -> None:
    """As plain tasks on such a loop are."""
    run_python(
        """
        import asyncio, gc, logging, os, weakref
        from pybridge import PooledEngine

        logging.disable()  # asyncio says that tasks were pending
        # One in between may finalize a loop's sockets before the loop, which cannot close then, whatever its tasks are.
        gc.disable()

        async def handler(request, context):
            yield context.id
            await asyncio.Event().wait()

        engine = PooledEngine(handler)

        def leave_behind():
            loop = asyncio.new_event_loop()
            loop.run_until_complete(anext(engine("wait")))
            return weakref.ref(loop)

        def descriptors():
            return len(os.listdir("/dev/fd"))

        leave_behind()
        gc.collect()
        before = descriptors()
        loops = [leave_behind() for _ in range(20)]
        gc.collect()
        assert [loop() for loop in loops] == [None] * 20
        assert descriptors() == before
        assert engine.stats().streams.live == 0
        """,
        options=(),
    )


@pytest.mark.guarantee("E-11")
@skips.where("eager tasks came with Python 3.12")
@pytest.mark.parametrize("request_", [0, 1, 5, 700])
async def test_eager_tasks_change_nothing(request_: int) -> None:
    await skip_without_eager_tasks()
    event_loop = asyncio.get_running_loop()
    event_loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined, unused-ignore]
    tasks: list[Any] = []

    async def handler(request: int) -> AsyncGenerator[Any, None]:
        tasks.append(asyncio.current_task())
        for number in range(request):
            yield [number, "x" * 100]
            if number % 7 == 0:
                await turns(1)
            tasks.append(asyncio.current_task())
        async for item in inner(3):
            yield item
        if request == 5:
            raise ValueError("asked to")

    inner = PooledEngine(count)
    for flow in (FlowConfig(), FlowConfig(high_water_items=2), FlowConfig(batch_items=1)):
        tasks.clear()
        engine = PooledEngine(handler, flow=flow)
        assert await outcome_of(engine(request_)) == await drive(handler, request_)
        assert len(set(tasks)) == 2
        assert None not in tasks
        async with engine(request_) as stream:
            await anext(stream)
    await until(lambda: not engine.stats().streams.live, "all have ended")


@pytest.mark.guarantee("E-11")
async def test_any_task_factory_will_do() -> None:
    """A program's own factory makes the tasks of streams as well."""
    made: list[str] = []

    def factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **settings: Any) -> asyncio.Task[Any]:
        made.append(getattr(coroutine, "__qualname__", ""))
        return asyncio.Task(coroutine, loop=loop, **settings)

    asyncio.get_running_loop().set_task_factory(factory)
    assert await collect(PooledEngine(count, worker="attached")(2)) == [0, 1]
    assert any(name.endswith("count") for name in made)


async def test_error_of_the_task_factory_is_the_error_of_the_stream() -> None:
    """It arises in the call of the factory, so that no frame of it holds the stream's coroutine."""
    stream = PooledEngine(count, worker="attached")(2)
    asyncio.get_running_loop().set_task_factory(lambda: None)  # type: ignore[arg-type]
    try:
        await stream.__aenter__()
    finally:
        asyncio.get_running_loop().set_task_factory(None)
    with pytest.raises(TypeError, match="unexpected keyword"):
        await anext(stream)


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_closed_loop_leaves_its_lifespans_and_is_let_go(kind: str) -> None:
    left: list[int] = []

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            left.append(1)

    engine = PooledEngine(count, worker="attached", lifespan=lifespan, flow=FlowConfig(cancel_grace=1000))
    loop = FACTORIES[kind]()
    assert loop.run_until_complete(collect(engine(2))) == [0, 1]
    loop.close()
    gone = weakref.ref(loop)
    del loop
    gc.collect()
    assert left == [1]
    engine.close()  # waits for no lifespan, and releases what was let go outside of pybridge
    assert gone() is None


@pytest.mark.guarantee("E-01")
def test_engine_without_streams_needs_no_thread(run_python: Any) -> None:
    run_python(
        """
        import os
        from pybridge import PooledEngine

        async def handler(request):
            yield request

        engine = PooledEngine(handler, worker="dedicated")
        assert len(os.listdir("/proc/self/task")) == 1
        assert list(engine.iter(1)) == [1]
        assert len(os.listdir("/proc/self/task")) > 1
        """
    )


@pytest.mark.guarantee("E-08")
def test_dead_worker_refuses_at_once(run_python: Any) -> None:
    run_python(
        """
        import asyncio
        from pybridge import EngineClosed, PooledEngine, StreamCancelled, Worker

        async def handler(request):
            loops.append(asyncio.get_running_loop())
            yield 1
            if request == "wait":
                await asyncio.Event().wait()

        from pybridge import _worker
        loops = []
        engine = PooledEngine(handler, worker=Worker(name="short"))
        waiting = engine.iter("wait")
        assert next(waiting) == 1
        (thread,) = _worker.live_threads
        thread.stop(0.1)
        try:
            next(waiting)
        except StreamCancelled as error:
            assert error.reason == "external"
        else:
            raise AssertionError
        try:
            next(engine.iter(1))
        except EngineClosed:
            pass
        else:
            raise AssertionError
        """
    )
