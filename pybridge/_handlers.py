"""Checks of handlers when an engine is made: their kind, their parameters and their name."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable
from typing import Any


def load(path: str) -> Any:
    """What `module:attribute` names; the attribute may have dots.

    Raises:
        ValueError: The path is of another form.
        ImportError: The module cannot be imported; what else it raises is passed on.
        AttributeError: It has no such attribute.
    """
    module, separator, attribute = path.partition(":")
    if not (module and separator and attribute):
        raise ValueError(f"{path!r} is not of the form module:attribute")
    found: Any = importlib.import_module(module)
    for name in attribute.split("."):
        found = getattr(found, name)
    return found


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


def takes_context(handler: Callable[..., Any]) -> bool:
    """True if the handler has a parameter `context` that can be given by keyword.

    A handler whose signature cannot be read gets the request alone.
    """
    try:
        parameters = inspect.signature(handler).parameters
    except (ValueError, TypeError):
        return False
    parameter = parameters.get("context")
    if parameter is None or next(iter(parameters)) == "context":
        return False
    return parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)


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


def handler_name(handler: object) -> str:
    """A name for logs and statistics."""
    inner = innermost(handler)
    name = getattr(inner, "__qualname__", None) or getattr(inner, "__name__", None)
    return name if isinstance(name, str) else type(inner).__qualname__


def _is_generator_coroutine(function: object) -> bool:
    """True for a generator function that `types.coroutine` made one of coroutines."""
    code = getattr(function, "__code__", None)
    return bool(getattr(code, "co_flags", 0) & inspect.CO_ITERABLE_COROUTINE)


def innermost(handler: object) -> object:
    """The function below partials and callable objects, whose kind `inspect` can tell."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    call = getattr(type(handler), "__call__", None)
    # Functions, classes and what wraps a function have a name of their own.
    return call if inspect.isfunction(call) and not hasattr(handler, "__name__") else handler
