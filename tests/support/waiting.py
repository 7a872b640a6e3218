"""Waiting for a condition, with a deadline and a reason when it does not come."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

DEADLINE = 20.0
"""Seconds after which a wait fails; far above what anything takes on a loaded machine."""

_PAUSE = 0.002


def wait_until(condition: Callable[[], object], what: str | Callable[[], str], deadline: float = DEADLINE) -> None:
    """Blocks until the condition holds; for states that announce themselves by no event."""
    pause, end = threading.Event(), time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, f"after {deadline} s still not: {what if isinstance(what, str) else what()}"
        pause.wait(_PAUSE)


async def until(condition: Callable[[], object], what: str | Callable[[], str], deadline: float = DEADLINE) -> None:
    """Awaits until the condition holds, letting the loop turn; for states that announce themselves by no event."""
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, f"after {deadline} s still not: {what if isinstance(what, str) else what()}"
        await asyncio.sleep(_PAUSE)


async def turns(number: int) -> None:
    """Lets the running loop turn that many times."""
    for _ in range(number):
        await asyncio.sleep(0)
