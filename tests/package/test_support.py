"""The fixtures themselves: each must be able to fail."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import pytest

from pybridge import PooledEngine

from support import fronts, leaks
from support.consumers import SlowConsumer, take
from support.loops import LoopWatch
from support.processes import PythonRunner
from support.waiting import until, wait_until


async def test_async_test_runs_on_the_loop_it_asks_for_in_debug_mode_where_that_works(
    request: pytest.FixtureRequest, loop_factory: object
) -> None:
    loop = asyncio.get_running_loop()
    asked = request.node.callspec.params["loop_factory"]
    assert type(loop).__module__.split(".")[0] == ("uvloop" if asked == "uvloop" else "asyncio")
    assert (loop.get_task_factory() is not None) == (asked == "eager")
    assert loop.get_debug() == (asked != "uvloop" or sys.version_info < (3, 12))


def block(seconds: float) -> None:
    time.sleep(seconds)


async def test_blocked_loop_is_noticed_with_its_stack() -> None:
    with pytest.raises(AssertionError, match="in block"):
        async with LoopWatch(limit=0.1):
            await asyncio.sleep(0)
            block(0.5)


async def test_turning_loop_is_no_blocked_loop() -> None:
    async with LoopWatch(limit=20.0) as watch:
        for _ in range(100):
            await asyncio.sleep(0)
    assert watch.longest == 0


async def endless(request: object) -> AsyncIterator[int]:
    number = 0
    while True:
        yield number
        number += 1


async def test_live_stream_is_a_leak_until_it_is_closed() -> None:
    engine = PooledEngine(endless, name="leaky")
    stream = engine(None)
    await take(stream, 1)
    left = leaks.left()
    assert left['pybridge_streams_live{engine="leaky"}'] == "1"
    await stream.aclose()
    await until(lambda: not leaks.left(), "nothing left behind")


async def test_slow_consumer_takes_what_it_may_and_no_more() -> None:
    async with PooledEngine(endless) as engine, SlowConsumer(engine(None)) as consumer:
        consumer.allow(3)
        assert await consumer.until_taken(3) == [0, 1, 2]
        consumer.allow(2)
        assert await consumer.until_taken(5) == [0, 1, 2, 3, 4]


async def test_slow_consumer_tells_of_an_early_end() -> None:
    async def three() -> AsyncGenerator[int, None]:
        for number in range(3):
            yield number

    async with SlowConsumer(three()) as consumer:
        consumer.allow(10)
        with pytest.raises(AssertionError, match="after 3"):
            await consumer.until_taken(5)


def test_wait_that_never_ends_fails_naming_what_did_not_come() -> None:
    with pytest.raises(AssertionError, match="the moon"):
        wait_until(lambda: False, "the moon", deadline=0.05)


@pytest.mark.parametrize(
    "noise",
    [
        "import warnings; warnings.warn('noise')",
        "import sys; sys.exit(3)",
        "import sys; print('x', file=sys.stderr)",
    ],
)
def test_noise_in_a_subprocess_fails(run_python: PythonRunner, noise: str) -> None:
    with pytest.raises(AssertionError, match="status"):
        run_python(noise)


def test_unraisable_exception_in_a_subprocess_fails(run_python: PythonRunner) -> None:
    snippet = """
        class Noisy:
            def __del__(self):
                raise ValueError("noise")
        Noisy()
    """
    with pytest.raises(AssertionError, match="noise"):
        run_python(snippet)


def test_what_a_server_cannot_do_is_told_by_the_name_of_a_test() -> None:
    tests = "".join(path.read_text() for path in Path(__file__).parents[1].glob("protocol/test_*.py"))
    for name, test in fronts.CANNOT:
        assert name in fronts.FRONTS
        assert f"def {test}(" in tests
