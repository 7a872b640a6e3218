"""Engines end cleanly: by closing, by being dropped, with their loop and with their process."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import weakref
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from pybridge import EngineClosed, FlowConfig, Overloaded, PooledEngine, StreamCancelled

from support.consumers import collect
from support.engines import EngineMaker
from support.processes import PythonRunner


async def counting(number: int) -> AsyncGenerator[int, None]:
    for index in range(number):
        yield index


async def endless(_request: object) -> AsyncGenerator[int, None]:
    index = 0
    while True:
        yield index
        index += 1
        await asyncio.sleep(0)


async def test_an_engine_that_its_handler_closes_over_is_collected(make_engine: EngineMaker) -> None:
    """T-54"""

    def one() -> weakref.ref[PooledEngine]:
        async def handler(number: int) -> AsyncGenerator[str, None]:
            yield f"{engine.name} {number}"

        engine = make_engine(handler)
        return weakref.ref(engine)

    one()
    gc.collect()
    before = threading.active_count()
    engines = [one() for _ in range(1_000)]
    gc.collect()
    assert not [ref for ref in engines if ref() is not None]
    assert threading.active_count() <= before


async def test_a_call_above_the_queue_is_refused_at_once(make_engine: EngineMaker) -> None:
    """S-34"""
    calls: list[object] = []

    async def handler(request: object) -> AsyncGenerator[object, None]:
        calls.append(request)
        async for item in endless(request):
            yield item

    engine = make_engine(handler, flow=FlowConfig(max_concurrency=1, max_queue=0))
    async with engine("first") as stream:
        await anext(stream)
        with pytest.raises(Overloaded):
            await anext(engine("second"))
        assert calls == ["first"]
    await engine.aclose(0)


async def test_closing_cancels_live_streams_with_the_reason_shutdown(make_engine: EngineMaker) -> None:
    """S-24, T-47"""
    engine = make_engine(endless)
    stream = engine(None)
    await anext(stream)
    await engine.aclose(0)
    with pytest.raises(StreamCancelled) as caught:
        await collect(stream)
    assert caught.value.reason == "shutdown"
    with pytest.raises(EngineClosed):
        await anext(engine(None))


async def test_closing_without_a_deadline_lets_streams_finish(make_engine: EngineMaker) -> None:
    """S-24, T-47"""
    engine = make_engine(counting)
    stream = engine(5)
    first = await anext(stream)
    closing = asyncio.create_task(engine.aclose(None))
    assert [first, *await collect(stream)] == [0, 1, 2, 3, 4]
    await closing
    with pytest.raises(EngineClosed):
        await anext(engine(1))


LIVE = """
    import asyncio, os, signal, sys
    from pybridge import PooledEngine

    async def handler(_request):
        while True:
            yield 1
            await asyncio.sleep(0)

    engine = PooledEngine(handler, worker=sys.argv[1])
    stream = None

    async def main():
        global stream
        stream = engine(None)
        await anext(stream)
"""


@pytest.mark.parametrize("worker", ["attached", "dedicated"])
@pytest.mark.parametrize(
    ("ending", "status", "stderr"),
    [
        ("", 0, ""),
        ("    sys.exit(3)", 3, ""),
        ("    raise ValueError('the end')", 1, "ValueError: the end"),
        ("    os.kill(os.getpid(), signal.SIGTERM)", -15, ""),
    ],
    ids=["falls-off", "sys.exit", "exception", "SIGTERM"],
)
def test_a_process_with_a_live_stream_exits(
    run_python: PythonRunner, worker: str, ending: str, status: int, stderr: str
) -> None:
    """T-44"""
    snippet = f"{LIVE}\n    asyncio.run(main())\n{ending}"
    run_python(snippet, worker, status=status, stderr=stderr, timeout=10.0)


@pytest.mark.parametrize("worker", ["attached", "dedicated"])
def test_loops_that_end_with_live_streams_say_nothing(run_python: PythonRunner, worker: str) -> None:
    """T-46"""
    run = """
    async def many():
        streams = [engine(None) for _ in range(10)]
        for each in streams:
            await anext(each)
        return streams

    for _ in range(20):
        kept = asyncio.run(many())
    """
    run_python(f"{LIVE}{run}", worker)


FORK = """
    import asyncio, os, sys, warnings
    from pybridge import ForkError, PooledEngine

    warnings.simplefilter("ignore", DeprecationWarning)

    async def handler(number):
        yield number

    engine = PooledEngine(handler, worker="dedicated")
    if sys.argv[1] == "used":
        assert list(engine.iter(1)) == [1]
    child = os.fork()
    if child == 0:
        try:
            got = list(engine.iter(2))
        except ForkError:
            os._exit(7)
        os._exit(8 if got == [2] else 9)
    _, status = os.waitpid(child, 0)
    assert list(engine.iter(3)) == [3]
    print(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.parametrize(("before", "expected"), [("used", "7"), ("unused", "8")])
def test_after_a_fork_a_used_engine_is_refused_and_an_unused_one_works(
    run_python: PythonRunner, before: str, expected: str
) -> None:
    """T-48"""
    assert run_python(FORK, before).strip() == expected


async def test_nested_calls_that_their_handlers_close_end_inner_first(make_engine: EngineMaker) -> None:
    """T-43"""
    ended: list[str] = []

    def level(name: str, inner: PooledEngine | None) -> Any:
        async def handler(request: object) -> AsyncGenerator[object, None]:
            try:
                async with contextlib.aclosing(endless(request) if inner is None else inner(request)) as stream:
                    async for item in stream:
                        yield item
            finally:
                ended.append(name)

        return handler

    engine: PooledEngine | None = None
    for name in ("innermost", "middle", "outer"):
        engine = make_engine(level(name, engine))
    assert engine is not None
    async with engine(None) as stream:
        await anext(stream)
    assert ended == ["innermost", "middle", "outer"]
