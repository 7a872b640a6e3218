"""Memory of the pool that Python holds outlives everything it came from."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator

import pytest

from pybridge import FlowConfig, Frame, Pool, PooledEngine, StreamCancelled, encode, memory

from support.consumers import collect, take
from support.processes import PythonRunner
from support.waiting import until


async def handler(request: int) -> AsyncIterator[str]:
    for _ in range(3):
        yield "x" * request


@pytest.mark.guarantee("M-05")
@pytest.mark.parametrize("size", [10, 20_000, 100_000, 2_000_000])
async def test_export_outlives_stream_engine_and_pool(size: int) -> None:
    pool = Pool()
    engine = PooledEngine(handler, pool=pool)
    stream = engine.frames(size)
    frames: list[Frame] = await take(stream, 3)
    views = [memoryview(frame) for frame in frames]
    expected = bytes(frames[0])
    await stream.aclose()
    await engine.aclose()
    del stream, engine, pool, frames
    gc.collect()
    assert all(view.readonly and view == expected for view in views)
    assert [view.nbytes for view in views] == [len(expected)] * 3
    for view in views:
        view.release()


@pytest.mark.guarantee("M-05")
async def test_memory_comes_home_when_the_last_export_goes() -> None:
    pool, held = Pool(), memory().frames_held
    async with PooledEngine(handler, pool=pool) as engine:
        stream = engine.frames(1_000_000)
        (frame,) = await take(stream, 1)
        await stream.aclose()
        view = memoryview(frame)
        del frame, stream
        assert pool.stats().live_bytes >= 1_000_000
        assert memory().frames_held == held + 1
        view.release()
        assert pool.stats().live_bytes == 0
        assert memory().frames_held == held


FORK = """
import asyncio, os, sys, warnings
import pybridge

warnings.simplefilter("ignore", DeprecationWarning)  # newer interpreters warn of forks in threaded processes

async def handler(request):
    for _ in range(3):
        yield "x" * request

pool = pybridge.Pool()
engine = pybridge.PooledEngine(handler, pool=pool, worker="dedicated")
FIRST_USE
frame = None
if USED:
    stream = engine._core and list(engine.iter(200_000))
    held = pybridge.encode("y" * 200_000)
child = os.fork()
if child == 0:
    try:
        if USED:
            assert bytes(held)[-1:] == b"y"
            try:
                list(engine.iter(10))
            except pybridge.ForkError:
                pass
            else:
                raise AssertionError("a forked child was served")
            assert pool.trim() == 0
            assert pool.stats().parked_bytes == 0
            del held
        else:
            assert list(engine.iter(10)) == ["x" * 10] * 3
    except BaseException:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)
_, status = os.waitpid(child, 0)
assert status == 0, status
assert list(engine.iter(200_000)) == ["x" * 200_000] * 3
if USED:
    assert bytes(held)[-1:] == b"y"
    assert pool.stats().hits > 0
engine.close()
print("parent done")
"""


@pytest.mark.guarantee("P-05")
@pytest.mark.parametrize("used", [True, False])
def test_forked_child_gets_nothing_of_the_pool_and_the_parent_is_untouched(
    run_python: PythonRunner, used: bool
) -> None:
    """A fork before the first use works; after it the child is refused and the parent goes on."""
    snippet = FORK.replace("FIRST_USE\nframe = None\n", "").replace("USED", str(used))
    assert run_python(snippet.replace("engine._core and ", "")) == "parent done\n"


async def test_closing_with_waiting_requests_wakes_their_consumers() -> None:
    """Consumers on the closing loop are woken from within `close`; requests that waited are released."""
    release = asyncio.Event()

    async def waits(request: str) -> AsyncIterator[int]:
        await release.wait()
        yield len(request)

    pool = Pool()
    engine = PooledEngine(waits, pool=pool, flow=FlowConfig(max_concurrency=1))
    body = bytes(encode("x" * 50_000))
    tasks = [asyncio.create_task(collect(engine(body, encoded="msgpack"))) for _ in range(8)]
    await until(lambda: engine.stats().streams.live == len(tasks), "one running, the rest waiting")
    assert pool.stats().inbound_bytes >= 7 * 50_000
    await engine.aclose(0)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [StreamCancelled] * len(tasks)
    assert pool.stats().inbound_bytes == 0


def test_worker_lets_go_of_pools_that_no_engine_has_any_more() -> None:
    pool = Pool()
    assert list(PooledEngine(handler, pool=pool, worker="dedicated").iter(1)) == ["x"] * 3
    assert pool.stats().segments.writers == 1
    gc.collect()
    assert list(PooledEngine(handler, pool=Pool(), worker="dedicated").iter(1)) == ["x"] * 3
    assert pool.stats().segments.writers == 0
