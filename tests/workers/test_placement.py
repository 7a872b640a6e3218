"""Handlers run where the engine's placement says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable

import pytest

from pybridge import PooledEngine, Worker

from support.consumers import collect
from support.processes import PythonRunner
from support.waiting import wait_until

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


async def place(_request: object) -> AsyncGenerator[int, None]:
    """Gives the thread that it runs on."""
    yield threading.get_native_id()


@pytest.mark.guarantee("E-02")
async def test_auto_and_attached_run_on_the_callers_loop() -> None:
    here = threading.get_native_id()
    assert await PooledEngine(place).call(None) == here
    assert await PooledEngine(place, worker="attached").call(None) == here


@pytest.mark.guarantee("E-03")
async def test_dedicated_engines_share_one_thread_that_is_not_the_callers() -> None:
    first = await PooledEngine(place, worker="dedicated").call(None)
    assert first == await PooledEngine(place, worker="dedicated").call(None)
    assert first != threading.get_native_id()


@pytest.mark.guarantee("E-02")
def test_auto_without_a_loop_runs_on_the_dedicated_worker() -> None:
    dedicated = list(PooledEngine(place, worker="dedicated").iter(None))
    assert list(PooledEngine(place).iter(None)) == dedicated


@pytest.mark.guarantee("E-03")
async def test_engines_with_the_same_worker_object_share_its_thread() -> None:
    worker = Worker(name="placement")
    first = await PooledEngine(place, worker=worker).call(None)
    assert first == await PooledEngine(place, worker=worker).call(None)
    assert first != await PooledEngine(place, worker="dedicated").call(None)
    assert first != threading.get_native_id()


@pytest.mark.guarantee("E-04")
def test_thread_of_a_worker_ends_with_the_last_that_has_it(run_python: PythonRunner) -> None:
    """It ends after what is live on it, once its lifespans are left."""
    run_python(
        """
        import asyncio, contextlib, gc, os, threading, time
        from pybridge import PooledEngine, Worker

        log, threads = [], []

        @contextlib.asynccontextmanager
        async def lifespan():
            yield
            await asyncio.sleep(0)
            log.append("left")

        async def handler(request):
            yield request
            await asyncio.to_thread(go_on.wait)
            threads.append(threading.current_thread())

        def use(name):
            worker = Worker(name=name)
            PooledEngine(handler, worker=worker)
            return PooledEngine(handler, worker=worker, lifespan=lifespan).iter(name)

        def descriptors():
            return len(os.listdir("/dev/fd"))

        go_on = threading.Event()
        items = use("first")
        assert next(items) == "first"
        go_on.set()
        assert list(items) == []
        del items
        gc.collect()
        threads[0].join(10)
        assert not threads[0].is_alive()
        assert log == ["left"]
        before = descriptors()
        for number in range(20):
            items = use(str(number))
            assert list(items) == [str(number)]
            del items
            gc.collect()
            threads[-1].join(10)
            assert not threads[-1].is_alive()
        deadline = time.monotonic() + 20
        while descriptors() > before and time.monotonic() < deadline:  # they are closed when the thread has ended
            os.sched_yield()
        assert descriptors() <= before
        assert log == ["left"] * 21
        unused = Worker()
        del unused
        """
    )


@pytest.mark.guarantee("E-05")
def test_an_attached_engine_without_a_loop_names_the_remedy() -> None:
    with pytest.raises(RuntimeError, match="dedicated"):
        list(PooledEngine(place, worker="attached").iter(None))


@pytest.mark.guarantee("E-09")
async def test_a_nested_call_of_a_pinned_engine_runs_on_its_own_worker() -> None:
    inner = PooledEngine(place, worker=Worker(name="pinned"))

    async def outer(_request: object) -> AsyncGenerator[list[int], None]:
        yield [threading.get_native_id(), await inner.call(None)]

    around, within = await PooledEngine(outer, worker="dedicated").call(None)
    assert around != within


@pytest.mark.guarantee("E-06")
def test_an_engine_works_over_several_loops_one_after_the_other(loop_factory: LoopFactory) -> None:
    """What a closed loop leaves live ends, and the next loop starts anew."""
    engine = PooledEngine(endless, worker="attached")
    for _ in range(5):
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            assert runner.run(first_of(engine)) == 0


@pytest.mark.guarantee("E-02")
def test_two_loops_at_once_each_run_their_own_handlers(loop_factory: LoopFactory) -> None:
    engine = PooledEngine(place, worker="attached")
    together = threading.Barrier(2)
    places: list[tuple[int, list[int]]] = []

    async def calls() -> list[int]:
        together.wait(10)
        return [item for _ in range(50) for item in await collect(engine(None))]

    def run() -> None:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            places.append((threading.get_native_id(), runner.run(calls())))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(places) == 2
    assert all(seen == [thread] * 50 for thread, seen in places)


async def endless(_request: object) -> AsyncGenerator[int, None]:
    while True:
        yield 0
        await asyncio.sleep(0)


async def first_of(engine: PooledEngine) -> int:
    stream = engine(None)
    item: int = await anext(stream)
    return item


async def sleeper(request: object) -> AsyncGenerator[int, None]:
    while True:
        yield 1
        await asyncio.sleep(0.001)


@pytest.mark.guarantee("E-04")
def test_thread_of_a_worker_that_nobody_has_ends_though_its_last_stream_was_cancelled_in_a_sleep() -> None:
    """A cancelled timer stays with an idle loop, and keeps the context of the stream that made it."""
    before = threading.active_count()
    for _ in range(10):
        worker = Worker()
        engine = PooledEngine(sleeper, worker=worker)
        next(iter(engine.iter(None)))
        engine.close()
        del engine, worker
    wait_until(lambda: threading.active_count() <= before, "the workers' threads have ended")
