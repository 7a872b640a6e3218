"""The Python half of dedicated workers: their threads and event loops."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import os
import sys
import threading
import time
import traceback
import weakref
from collections.abc import AsyncIterator, Generator
from typing import Any

from pybridge import _pybridge
from pybridge._lifespan import lifespan_number
from pybridge.errors import ConfigError

EXIT_GRACE = 2.0
"""Seconds that handlers may take for their cleanup at interpreter exit."""

SHORT_GRACE = 0.1
"""Seconds that tasks have once that time is used up."""

JOIN_MARGIN = 0.25
"""Seconds beyond the grace after which a thread that does not end is left behind."""


live_threads: weakref.WeakSet[WorkerThread] = weakref.WeakSet()


class WorkerThread:
    """A daemon thread that runs one event loop until it is stopped."""

    def __init__(self, loop: asyncio.AbstractEventLoop, cpu: int | None, name: str) -> None:
        self.loop = loop
        self.port: _pybridge.LoopPort | None = None
        self._cpu = cpu
        self._name = name
        self._failure: BaseException | None = None
        self._ready = threading.Event()
        self._stopping = False
        self._grace = EXIT_GRACE
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Starts the thread and returns when its loop can be called. Blocks for about a millisecond."""
        try:
            self._thread.start()
        except RuntimeError:  # no thread is to be had, or none any more: CPython 3.12.1 starts none in exit handlers
            self.loop.close()
            raise
        self._ready.wait()
        if self._failure is not None:
            raise self._failure

    def stop(self, grace: float = EXIT_GRACE) -> None:
        """Stops the loop and joins the thread; tasks that are left have `grace` seconds for their cleanup."""
        stop_threads([self], grace)

    def ask_to_stop(self, grace: float) -> None:
        """Has the loop stop in its next turn. Does not wait."""
        self._grace = grace
        self._stopping = True
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            self.loop.call_soon_threadsafe(self.loop.stop)

    def interrupt(self) -> None:
        """Raises `SystemExit` in the thread as soon as it runs Python code."""
        if self._thread.ident is not None:
            _pybridge.interrupt_thread(self._thread.ident)

    def ends_by(self, end: float) -> bool:
        """Blocks until the thread has ended, at most until that time of the monotonic clock; false: it goes on."""
        self._thread.join(max(end - time.monotonic(), 0))
        return not self._thread.is_alive()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.port = _pybridge.open_port(self.loop, self._name, self._cpu)
        except BaseException as failure:
            self._failure = failure
            self.loop.close()
            return
        finally:
            self._ready.set()
        process = os.getpid()
        while not (self._stopping or self.port.retired):
            try:
                self.loop.run_forever()
            except (SystemExit, KeyboardInterrupt):
                # A task that raises one of these leaves run_forever; the others go on, but not in the child of a fork.
                if os.getpid() != process:
                    raise
        self._close()

    def _close(self) -> None:
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        with contextlib.suppress(BaseException):
            if tasks:
                self.loop.run_until_complete(asyncio.wait(tasks, timeout=self._grace))
            self.loop.set_exception_handler(_complain)
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()


def _complain(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Reports what is wrong, but for generators that outlived the grace and cannot be closed."""
    if "already running" not in str(context.get("exception")):
        loop.default_exception_handler(context)


def start(loop: str, cpu: int | None, name: str) -> WorkerThread:
    """Starts a worker thread on a new event loop of the kind `"asyncio"` or `"uvloop"`.

    Raises:
        ConfigError: uvloop is not installed.
    """
    # A loop keeps the context that it is made in, and a thread may: they must not keep the first caller's.
    thread = contextvars.Context().run(_started, loop, cpu, name)
    live_threads.add(thread)
    return thread


def _started(loop: str, cpu: int | None, name: str) -> WorkerThread:
    thread = WorkerThread(_new_loop(loop), cpu, name)
    thread.start()
    return thread


def _new_loop(kind: str) -> asyncio.AbstractEventLoop:
    loop = _loop_of(kind)
    with contextlib.suppress(RuntimeError):  # in exit handlers no executor is to be had
        from pybridge._executor import LoopExecutor

        loop.set_default_executor(LoopExecutor(lifespan_number))
    return loop


def _loop_of(kind: str) -> asyncio.AbstractEventLoop:
    if kind == "asyncio":
        return asyncio.new_event_loop()
    try:
        import uvloop
    except ImportError:
        raise ConfigError("loop", "uvloop is not installed: pip install uvloop, or use loop='asyncio'") from None
    return uvloop.new_event_loop()


def stop_threads(threads: list[WorkerThread], grace: float, margin: float = JOIN_MARGIN) -> None:
    """Ends threads, whose handlers have `grace` seconds; those that do not end in `margin` more are interrupted."""
    for thread in threads:
        thread.ask_to_stop(grace)
    end = time.monotonic() + grace + margin
    late = [thread for thread in threads if not thread.ends_by(end)]
    # They run Python code that never waits. Left alone they would be torn down in the middle of it.
    for thread in late:
        thread.interrupt()
    end = time.monotonic() + margin
    for thread in late:
        thread.ends_by(end)


def thread_parking() -> str:
    """Tells what becomes of threads below pybridge when the interpreter goes.

    They are parked (`"on"`), could not be (`"missing"`), or need it not (`"not needed"`).
    """
    return _pybridge.thread_parking()


def report_stall(thread: int, name: str) -> None:
    """Logs what the thread with this identifier, whose event loop stands still, is doing now."""
    frame = sys._current_frames().get(thread)  # noqa: SLF001 - there is no other way to another thread's stack
    stack = "".join(traceback.format_stack(frame)) if frame is not None else "  (the thread has ended)\n"
    text = "the event loop of worker %s has not turned for more than a second; its thread is at:\n%s"
    logging.getLogger("pybridge.worker").warning(text, name, stack.rstrip())


async def yield_once(value: object) -> AsyncIterator[object]:
    """Yields `value`: the core looks at how the interpreter hands it out of a generator."""
    yield value


def _rust_coroutine() -> Generator[None]:
    """Never runs."""
    yield


rust_coroutine = _rust_coroutine()
"""Its frame and its code stand for those of coroutines made in Rust, which debuggers and stack traces ask for."""


def reraise(error: BaseException) -> None:
    """Raises `error`: a loop that calls this ends as it would by a task that raised it."""
    raise error
