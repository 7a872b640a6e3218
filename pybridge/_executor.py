"""The threads in which the loops of dedicated workers run blocking functions."""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context, ContextVar
from typing import ParamSpec, TypeVar

_Args = ParamSpec("_Args")
_T = TypeVar("_T")


class LoopExecutor(ThreadPoolExecutor):
    """asyncio's default executor, but for one context variable: functions see whose lifespan has them called."""

    def __init__(self, lifespan_number: ContextVar[int]) -> None:
        super().__init__(thread_name_prefix="asyncio")
        self._lifespan_number = lifespan_number

    def submit(self, fn: Callable[_Args, _T], /, *args: _Args.args, **kwargs: _Args.kwargs) -> Future[_T]:
        """Has a thread call `fn`."""
        number = self._lifespan_number.get(None)
        if number is None:
            return super().submit(fn, *args, **kwargs)
        context = Context()
        context.run(self._lifespan_number.set, number)
        return super().submit(functools.partial(context.run, fn, *args, **kwargs))
