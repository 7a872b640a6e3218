"""Checks of handlers when an engine is made: what can serve no call is refused with its remedy."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from pybridge._handlers import handler_name, innermost


def check_handler(handler: object) -> None:
    """Refuses what cannot serve calls.

    Raises:
        TypeError: Naming what was given and the remedy.
    """
    if inspect.isclass(handler):
        raise TypeError(f"the handler is the class {handler.__qualname__}: pass an instance that can be called")
    if inspect.isasyncgen(handler) or inspect.isgenerator(handler) or inspect.iscoroutine(handler):
        kind = type(handler).__name__.replace("_", " ")
        article = "an" if kind.startswith("a") else "a"
        raise TypeError(
            f"the handler is {article} {kind} object, which can be used only once: pass the function itself"
        )
    if isinstance(handler, staticmethod):
        handler = handler.__func__
    if not callable(handler):
        raise TypeError(f"the handler must be callable, not {type(handler).__name__}")
    if inspect.isgeneratorfunction(innermost(handler)) and not _is_generator_coroutine(innermost(handler)):
        raise TypeError(
            f"the handler {handler_name(handler)} is a synchronous generator: wrap it in pybridge.from_sync()"
        )


def check_call(handler: Callable[..., Any], *, context: bool, unary: bool) -> None:
    """Refuses a handler that cannot be called with one request, or that is not what `unary` says.

    Raises:
        TypeError: Naming the handler and what does not fit.
    """
    if unary and inspect.isasyncgenfunction(innermost(handler)):
        raise TypeError(
            f"the handler {handler_name(handler)} is an async generator function: "
            "unary=True is for coroutine functions that return the one value"
        )
    try:
        signature = inspect.signature(handler)
    except (ValueError, TypeError):
        return
    keywords = {"context": None} if context else {}
    try:
        signature.bind(None, **keywords)
    except TypeError as misfit:
        called = "one positional request and context=" if context else "one positional request"
        raise TypeError(f"the handler {handler_name(handler)} is called with {called}: {misfit}") from None


def _is_generator_coroutine(function: object) -> bool:
    """True for a generator function that `types.coroutine` made one of coroutines."""
    code = getattr(function, "__code__", None)
    return bool(getattr(code, "co_flags", 0) & inspect.CO_ITERABLE_COROUTINE)
