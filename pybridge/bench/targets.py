"""Finding handlers, and calling them as the lanes without a bridge do."""

import importlib
import inspect
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pybridge.engine import PooledEngine

DEMO = "pybridge.demo:chat"

Handler = Callable[..., Any]


def load(target: str) -> Handler:
    """The handler that `module:attribute` names; modules of the working directory are found too.

    Raises:
        ValueError: It cannot be imported, has no such attribute, or is no handler.
    """
    module_name, separator, path = target.partition(":")
    if not (module_name and separator and path):
        raise ValueError(f"{target!r} is not of the form module:handler")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
        for name in path.split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{target}: {error}") from error
    if isinstance(found, PooledEngine):
        raise ValueError(f"{target} is a PooledEngine: name the handler that it was made of")  # noqa: TRY004
    if not callable(found):
        raise ValueError(f"{target} is a {type(found).__name__}, not a handler")  # noqa: TRY004
    return found  # type: ignore[no-any-return]


def bind(handler: Handler) -> Callable[[Any], AsyncIterator[Any]]:
    """`handler` as a callable of the request alone: a wanted `context` is an empty one."""
    try:
        parameter = inspect.signature(handler).parameters.get("context")
    except (TypeError, ValueError):
        parameter = None
    if parameter is None or parameter.kind is parameter.POSITIONAL_ONLY:
        return handler
    context = SimpleNamespace(id="", metadata={}, traceparent=None, tracestate=None, cancelled=False)
    return lambda request: handler(request, context=context)
