"""A loop that stands still is seen from outside, while it stands and afterwards."""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncGenerator

import pytest

from pybridge import PooledEngine, Worker

from support.waiting import turns, wait_until


@pytest.mark.guarantee("E-17")
def test_loop_that_a_handler_blocks_is_a_stall_in_stats_and_log(caplog: pytest.LogCaptureFixture) -> None:
    """The streams beside it resume, and lose nothing."""
    release = threading.Event()

    async def handler(request: int) -> AsyncGenerator[int, None]:
        yield request
        await turns(2)  # what was yielded leaves with the loop's turn
        if request == 0:
            release.wait()
        for number in range(100):
            yield number
            await turns(1)

    def lag() -> tuple[int, float]:
        (worker,) = (worker for worker in engine.stats().workers if worker.name == "blocked")
        return worker.stalls, worker.lag_ms

    def stacks() -> list[str]:
        messages = [record.getMessage() for record in caplog.records if record.name == "pybridge.worker"]
        return [message for message in messages if "blocked has not turned" in message]

    with caplog.at_level(logging.WARNING, "pybridge"), PooledEngine(handler, worker=Worker(name="blocked")) as engine:
        streams = [engine.iter(request) for request in range(1, 9)]
        assert [next(items) for items in streams] == list(range(1, 9))
        streams.append(engine.iter(0))
        assert next(streams[-1]) == 0
        wait_until(lambda: lag()[0] >= 1, "the stall to be counted")
        assert lag()[1] >= 1000
        wait_until(lambda: bool(stacks()), "the stack to be logged")
        release.set()
        assert [list(items) for items in streams] == [list(range(100))] * 9
        wait_until(lambda: lag()[1] < 1000, "the loop to answer")
    assert {record.name for record in caplog.records if "blocked stood still" in record.getMessage()} == {
        "pybridge.worker"
    }
    (stack,) = (stack for stack in stacks() if "release.wait()" in stack)
    assert "in handler" in stack
