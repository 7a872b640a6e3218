"""Event loops for tests, and a watch that notices when one is blocked."""

from __future__ import annotations

import asyncio
import importlib.metadata
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Self

import pytest
import uvloop

from support import skips

FACTORIES: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.SelectorEventLoop,
    "uvloop": uvloop.new_event_loop,
}

if sys.version_info >= (3, 12):

    def eager() -> asyncio.AbstractEventLoop:
        """A loop whose tasks run their first step while they are made."""
        event_loop = asyncio.SelectorEventLoop()
        event_loop.set_task_factory(asyncio.eager_task_factory)
        return event_loop

    FACTORIES["eager"] = eager


def debugs(factory: Callable[[], asyncio.AbstractEventLoop]) -> bool:
    """Whether loops of this factory can be in debug mode: from Python 3.12 on uvloop's may crash in it.

    There it walks the stack while a frame is cleared that held an async generator (https://github.com/MagicStack/uvloop/pull/756).
    """
    return factory is not FACTORIES["uvloop"] or sys.version_info < (3, 12)


async def skip_without_eager_tasks() -> None:
    """Skips a test on a loop that cannot make eager tasks; uvloop cannot with every Python. The factory stays."""
    event_loop = asyncio.get_running_loop()
    factory = event_loop.get_task_factory()
    event_loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]  # from 3.12 on
    probe = asyncio.sleep(0)
    try:
        await event_loop.create_task(probe)
    except TypeError:
        probe.close()
        pytest.skip(skips.UVLOOP_HAS_NO_EAGER_TASKS)
    finally:
        event_loop.set_task_factory(factory)


def versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in ("pybridge-engine", "uvloop", "msgspec", "orjson")}


class LoopWatch:
    """Fails when the running loop does not turn for longer than `limit` seconds, and shows what it was doing.

    async with LoopWatch(limit=0.25):
        ...
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.longest = 0.0
        self.stack = ""
        self._done = threading.Event()

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(
            target=self._watch, args=(threading.get_ident(),), name="loop-watch", daemon=True
        )
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        if error is None and self.longest > self.limit:
            raise AssertionError(f"the loop stood still for {self.longest:.3f} s in\n{self.stack}")

    def _watch(self, ident: int) -> None:
        while not self._done.is_set():
            answered = threading.Event()
            asked = time.monotonic()
            self._loop.call_soon_threadsafe(answered.set)
            stack = ""
            # Whoever leaves waits for this thread and answers no more.
            while not answered.wait(0.005) and not self._done.is_set():
                if not stack and time.monotonic() - asked > self.limit:
                    frame = sys._current_frames().get(ident)
                    stack = "".join(traceback.format_stack(frame)) if frame else "a thread that has ended"
            if stack and time.monotonic() - asked > self.longest:
                self.longest, self.stack = time.monotonic() - asked, stack
            self._done.wait(0.005)
