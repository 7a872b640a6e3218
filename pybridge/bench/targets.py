"""Finding handlers, and calling them as the lanes without a bridge do."""

import inspect
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pybridge import _handlers
from pybridge._handler_checks import check_handler
from pybridge._handlers import innermost
from pybridge.bench.names import WITHOUT_PYBRIDGE
from pybridge.engine import PooledEngine

DEMO = "pybridge.demo:chat"

Handler = Callable[..., Any]


def load(target: str) -> Handler:
    """The handler that `module:attribute` names; modules of the working directory are found too.

    Raises:
        ValueError: It cannot be imported, has no such attribute, or is no handler.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found = _handlers.load(target)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{target}: {error}") from error
    if isinstance(found, PooledEngine):
        raise ValueError(f"{target} is a PooledEngine: name the handler that it was made of")  # noqa: TRY004
    if not callable(found):
        raise ValueError(f"{target} is a {type(found).__name__}, not a handler")  # noqa: TRY004
    return found  # type: ignore[no-any-return]


def check(target: str, lanes: Iterable[str], *, unary: bool) -> None:
    """Refuses a handler that the lanes cannot call.

    Raises:
        TypeError: It is of a kind that cannot serve calls.
        ValueError: It is not to be found, or not what `unary` says.
    """
    handler = load(target)
    check_handler(handler)
    if unary and inspect.isasyncgenfunction(innermost(handler)):
        raise ValueError(f"{target} is an async generator function: --unary is for those that return one value")
    if not unary and inspect.iscoroutinefunction(innermost(handler)) and not WITHOUT_PYBRIDGE.isdisjoint(lanes):
        raise ValueError(
            f"{target} is a coroutine function: say --unary if it returns one value; one that returns an async "
            "generator runs in pybridge's lanes only: --lanes pooled,items"
        )


def bind(handler: Handler, *, unary: bool = False) -> Callable[[Any], AsyncIterator[Any]]:
    """`handler` as a callable of the request alone: a wanted `context` is an empty one, the one value a stream."""
    call = _without_context(handler)
    if not unary:
        return call

    async def one(request: Any) -> AsyncIterator[Any]:
        yield await call(request)

    return one


def _without_context(handler: Handler) -> Handler:
    try:
        parameter = inspect.signature(handler).parameters.get("context")
    except (TypeError, ValueError):
        parameter = None
    if parameter is None or parameter.kind is parameter.POSITIONAL_ONLY:
        return handler
    context = SimpleNamespace(id="", metadata={}, traceparent=None, tracestate=None, cancelled=False)
    return lambda request: handler(request, context=context)
