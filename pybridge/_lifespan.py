"""Lifespans of engines on a worker: entered before its first request, held open, and left."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

lifespan_number: contextvars.ContextVar[int] = contextvars.ContextVar("pybridge.lifespan")
"""The lifespan that code belongs to; whether that is still being entered, Rust knows."""


def _manager(made: AbstractAsyncContextManager[Any]) -> AbstractAsyncContextManager[Any]:
    if not hasattr(made, "__aenter__"):
        raise TypeError(f"lifespan returned {type(made).__qualname__}, which is no async context manager")
    return made


class _Progress(Protocol):
    def entered(self, state: Any, failure: BaseException | None) -> None: ...

    def left(self) -> None: ...


async def hold_lifespan(
    factory: Callable[[], AbstractAsyncContextManager[Any]],
    progress: _Progress,
    stop: asyncio.Future[Any],
    engine: str,
) -> None:
    """Keeps the lifespan's context manager open until `stop` resolves or the loop cancels its tasks.

    An exception when it is left is logged with the engine's name: nobody is there to raise it to.
    """
    # A loop that is closed, or dropped, runs nothing to its end.
    asyncio.current_task()._log_destroy_pending = False  # type: ignore[union-attr]  # noqa: SLF001
    try:
        try:
            manager = _manager(factory())
            state = await manager.__aenter__()
        except BaseException as failure:
            progress.entered(None, failure)
            if isinstance(failure, _FOR_THE_LOOP):
                _hand_on_silently()
                raise
            return
        progress.entered(state, None)
        try:
            await stop
        finally:
            try:
                await manager.__aexit__(None, None, None)
            except (asyncio.CancelledError, GeneratorExit):
                raise
            except BaseException as failure:
                logging.getLogger("pybridge.engine").exception("engine %s: leaving its lifespan failed", engine)
                if isinstance(failure, _FOR_THE_LOOP):
                    _hand_on_silently()
                    raise
    finally:
        progress.left()
        # The frame may live on in the traceback of a failure: with this the engine's end would wait for the collector.
        del progress


def _hand_on_silently() -> None:
    """Has asyncio not log what the running task is about to raise: it was told where it belongs."""
    task: asyncio.Task[Any] = asyncio.current_task()  # type: ignore[assignment]
    task.add_done_callback(lambda task: task.cancelled() or task.exception())


_FOR_THE_LOOP = (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit)
"""What a task hands on; another exception would only be logged by asyncio, which knows nobody who takes it."""
