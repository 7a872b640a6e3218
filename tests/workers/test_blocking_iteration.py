"""Blocking iteration: refused where it would block an event loop; elsewhere a thread sleeps while there is nothing."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from pybridge import Context, PooledEngine, StreamCancelled

from support import skips
from support.consumers import collect
from support.engines import EngineMaker
from support.waiting import wait_until


def switches(thread: threading.Thread) -> int:
    """How often the thread has gone to sleep so far."""
    status = Path(f"/proc/self/task/{thread.native_id}/status").read_text()
    return int(status.split("\nvoluntary_ctxt_switches:")[1].split()[0])


@skips.where("other systems do not count a thread's sleeps")
def test_thread_that_waits_is_not_woken_for_signals_that_are_not_its_own() -> None:
    contexts: list[Context] = []

    async def handler(request: object, context: Context) -> AsyncGenerator[int, None]:
        contexts.append(context)
        yield 0
        await asyncio.Event().wait()

    def consume() -> None:
        try:
            next(items)
        except StreamCancelled as error:
            cancelled.append(error.reason)

    cancelled: list[str] = []
    items = PooledEngine(handler, worker="dedicated").iter(None)
    assert next(items) == 0
    thread = threading.Thread(target=consume)
    thread.start()
    before, end = 0, 0.0

    def is_quiet() -> bool:
        """For a second it has not been woken; the first items and a busy machine are no reason to be."""
        nonlocal before, end
        if switches(thread) != before:
            before, end = switches(thread), time.monotonic() + 1
        return time.monotonic() > end

    wait_until(is_quiet, "the thread sleeps for a second")
    contexts[0].cancel()
    thread.join(10)
    assert not thread.is_alive()
    assert cancelled == ["caller"]


@pytest.mark.guarantee("E-10")
async def test_blocking_iteration_on_a_loop_is_refused(make_engine: EngineMaker) -> None:
    async def handler(request: object) -> AsyncGenerator[int, None]:
        with pytest.raises(RuntimeError, match="block the event loop"):
            PooledEngine(handler).iter(1)
        yield 1

    assert await collect(make_engine(handler)(None)) == [1]
