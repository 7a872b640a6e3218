"""The engine that `module:attribute` names on the command line."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pybridge._serve_command.failures import StartError, in_one_line
from pybridge.engine import PooledEngine
from pybridge.handlers import innermost, load


def engine_of(target: str, settings: Mapping[str, Any]) -> PooledEngine:
    """The engine that `target` names, or one for the handler that it names, with these settings of `PooledEngine`.

    A coroutine function is taken for one that returns its one value, unless `unary` says otherwise. Modules of the
    working directory are found.

    Raises:
        StartError: It cannot be imported, is nothing that can be served, or is an engine and has settings of its own.
        ConfigError: A setting that cannot be, naming it.
    """
    found = _imported(target)
    if isinstance(found, PooledEngine):
        if settings:
            names = ", ".join(sorted(settings))
            raise StartError(f"{target} is a PooledEngine and has its own settings: say {names} where it is made")
        return found
    unary = {"unary": inspect.iscoroutinefunction(innermost(found)), **settings}
    try:
        return PooledEngine(found, **unary)
    except TypeError as error:
        raise StartError(f"{target} cannot be served: {error}") from error


def _imported(target: str) -> Any:
    module, _, attribute = target.partition(":")
    if not (module and attribute):
        raise StartError(f"{target!r} is not of the form module:attribute")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return load(target)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module}.".startswith(f"{error.name}."):
            reason = f"there is no module {error.name!r} in {here} or on Python's path"
        else:
            reason = in_one_line(error)
        raise StartError(f"cannot import {target}: {reason}") from error
    except Exception as error:  # whatever a module does when it is imported
        raise StartError(f"cannot import {target}: {in_one_line(error)}") from error
