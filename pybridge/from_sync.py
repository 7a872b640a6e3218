"""Synchronous generators as asynchronous ones, each on a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import inspect
import logging
import queue
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from enum import Enum, auto
from typing import Any, Generic, TypeAlias, TypeVar

from pybridge.errors import StreamCancelled

T = TypeVar("T")

LOOP_CHECK = 5.0
"""Seconds after which a thread that waits for demand looks whether its loop is still there."""

_log = logging.getLogger("pybridge.from_sync")


def from_sync(handler: Callable[..., Iterable[T]]) -> Callable[..., AsyncGenerator[T, None]]:
    """Makes an async generator function from a synchronous generator function, so that an engine can run it.

    Each stream runs on one thread of its own, which makes one item per demand, sees the context variables of the
    stream and ends with it. A thread cannot be interrupted: a cancelled stream ends when the handler reaches its next
    `yield`. If the handler has a parameter `cancelled`, it is given a `threading.Event` that is set when the stream
    ends, so that it can stop earlier. A parameter `context` is passed on.

    Raises:
        TypeError: The handler is not callable, is a class, or is asynchronous already.
    """
    name = getattr(handler, "__qualname__", type(handler).__name__)
    if inspect.isasyncgenfunction(handler) or inspect.iscoroutinefunction(handler):
        raise TypeError(f"{name} is asynchronous already: give it to PooledEngine as it is")
    if inspect.isclass(handler) or not callable(handler):
        raise TypeError(f"from_sync takes a synchronous generator function, not {name}")
    signature = _signature_of(handler)
    wants_event = signature is not None and "cancelled" in signature.parameters

    async def stream(request: Any, **options: Any) -> AsyncGenerator[T, None]:
        cancelled = threading.Event()
        if wants_event:
            options["cancelled"] = cancelled
        thread = _GeneratorThread(functools.partial(handler, request, **options), f"pybridge-sync-{name}")
        try:
            while (item := await thread.advance()) is not _End.END:
                yield item
        finally:
            cancelled.set()
            await thread.close()

    functools.update_wrapper(stream, handler, updated=())
    if signature is not None:
        visible = [parameter for parameter in signature.parameters.values() if parameter.name != "cancelled"]
        stream.__signature__ = signature.replace(parameters=visible)  # type: ignore[attr-defined]
    return stream


class _End(Enum):
    END = auto()


class _Demand(Enum):
    ITEM = auto()
    CLOSE = auto()


_Outcome: TypeAlias = tuple[T | _End, BaseException | None]
_Answer: TypeAlias = "asyncio.Future[_Outcome[T]]"


class _GeneratorThread(Generic[T]):
    """Advances one generator on a thread of its own, one demand after the other, until the demand to close."""

    def __init__(self, make: Callable[[], Iterable[T]], name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._demands: queue.SimpleQueue[tuple[_Demand, _Answer[T]]] = queue.SimpleQueue()
        serve = functools.partial(contextvars.copy_context().run, self._serve, _generate(make))
        self._thread = threading.Thread(target=serve, name=name, daemon=True)

    async def advance(self) -> T | _End:
        """Gives the next item, or the end; raises what the generator raises."""
        if self._thread.ident is None:
            self._thread.start()
        return await self._obeyed(_Demand.ITEM)

    async def close(self) -> None:
        """Closes the generator when its item in the making is done, and ends the thread."""
        if self._thread.ident is not None:
            await self._obeyed(_Demand.CLOSE)

    async def _obeyed(self, demand: _Demand) -> T | _End:
        answer: _Answer[T] = self._loop.create_future()
        self._demands.put((demand, answer))
        value, error = await answer
        if error is None:
            return value
        try:
            raise error
        finally:
            del answer, error

    def _serve(self, generator: Generator[T, None, None]) -> None:
        while next_demand := self._next_demand():
            demand, answer = next_demand
            outcome = _obey(generator, demand)
            try:
                self._loop.call_soon_threadsafe(_settle, answer, outcome)
            except RuntimeError:
                break
            if demand is _Demand.CLOSE:
                return
            del next_demand, answer, outcome
        if error := _obey(generator, _Demand.CLOSE)[1]:
            _log.warning("the handler raised after its event loop was closed", exc_info=error)

    def _next_demand(self) -> tuple[_Demand, _Answer[T]] | None:
        """Waits for a demand; None if the loop was closed, from which none can come."""
        while not self._loop.is_closed():
            with contextlib.suppress(queue.Empty):
                return self._demands.get(timeout=LOOP_CHECK)
        return None


def _generate(make: Callable[[], Iterable[T]]) -> Generator[T, None, None]:
    yield from make()


def _obey(generator: Generator[T, None, None], demand: _Demand) -> _Outcome[T]:
    try:
        if demand is _Demand.ITEM:
            return next(generator, _End.END), None
        generator.close()
    except BaseException as error:  # noqa: BLE001 - whatever it is belongs to the stream
        return _End.END, error
    return _End.END, None


def _settle(answer: _Answer[T], outcome: _Outcome[T]) -> None:
    if not answer.done():
        answer.set_result(outcome)
    elif outcome[1] is not None and not _ended_with_parent(outcome[1]):
        _log.warning("the handler raised after its stream was cancelled", exc_info=outcome[1])


def _ended_with_parent(error: BaseException) -> bool:
    """True for the cancellation of a nested stream that the handler was reading when its own stream was cancelled."""
    return isinstance(error, StreamCancelled) and error.reason == "parent"


def _signature_of(handler: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(handler)
    except (TypeError, ValueError):
        return None
