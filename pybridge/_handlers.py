"""Facts about handlers: what a path names, whether they take a context, their name, and the function below wrappers."""

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


def handler_name(handler: object) -> str:
    """A name for logs and statistics."""
    inner = innermost(handler)
    name = getattr(inner, "__qualname__", None) or getattr(inner, "__name__", None)
    return name if isinstance(name, str) else type(inner).__qualname__


def innermost(handler: object) -> object:
    """The function below partials and callable objects, whose kind `inspect` can tell."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    call = getattr(type(handler), "__call__", None)
    # Functions, classes and what wraps a function have a name of their own.
    return call if inspect.isfunction(call) and not hasattr(handler, "__name__") else handler
