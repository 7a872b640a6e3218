"""The engine that `module:attribute` names on the command line."""

from __future__ import annotations

import difflib
import importlib
import inspect
import sys
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from pybridge._handlers import innermost
from pybridge._serve.returns import plain_function, returned_types, returns_one_value
from pybridge._serve.signals import Told
from pybridge._serve_command.app_dir_and_env_file import find_modules_in
from pybridge._serve_command.start_errors import StartError, in_one_line
from pybridge.engine import PooledEngine

MAX_NAMED = 8
"""Handlers that a message names."""


def engine_of(target: str, settings: Mapping[str, Any], folder: str | None = None) -> PooledEngine:
    """The engine that `target` names, or one for the handler that it names, with these settings of `PooledEngine`.

    A coroutine function is taken for one that returns its one value, unless `unary` or its annotation says otherwise.
    Modules of `folder` are found first; None: those of the working directory.

    Raises:
        StartError: It cannot be imported, is nothing that can be served, or is an engine and has settings of its own.
        ConfigError: A setting that cannot be, naming it.
    """
    found = _imported(target, folder)
    if isinstance(found, PooledEngine):
        if settings:
            names = ", ".join(sorted(settings))
            raise StartError(f"{target} is a PooledEngine and has its own settings: say {names} where it is made")
        return found
    if kind := _application(found):
        server = {"an ASGI": "uvicorn", "a WSGI": "gunicorn"}[kind]
        name = getattr(found, "__name__", type(found).__name__)
        raise StartError(
            f"{target} is {kind} application ({name}), no handler: serve it with `{server} {target}`, "
            "or name a handler or a PooledEngine"
        )
    if (function := plain_function(found)) and (types := returned_types(function)):
        raise StartError(
            f"{target} cannot be served: it is no async function and returns {' or '.join(types)}, no async generator: "
            "write `async def` with `yield` for items, or with `return` for one value, or wrap a generator function in "
            "pybridge.from_sync()"
        )
    unary = {"unary": returns_one_value(found), **settings}
    try:
        return PooledEngine(found, **unary)
    except TypeError as error:
        raise StartError(f"{target} cannot be served: {error}") from error


def _imported(target: str, folder: str | None) -> Any:
    module, _, attribute = target.partition(":")
    if not (module and attribute):
        raise StartError(f"{target!r} is not of the form module:attribute{_found(module, folder)}")
    if "/" in module or module.startswith("."):
        raise StartError(f"{target!r} is not of the form module:attribute{_meant(module, attribute)}")
    found = _module(module, target, folder)
    for name in attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError as error:
            raise StartError(f"cannot import {target}: {_missing(found, name, module)}") from error
        except Told:
            raise
        except BaseException as error:  # a module may make its attributes when they are asked for
            raise StartError(f"cannot import {target}: {in_one_line(error)}") from error
    return found


def _module(name: str, target: str, folder: str | None) -> Any:
    here = find_modules_in(folder)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            reason = f"there is no module {error.name!r} in {here} or on Python's path"
            if name.endswith(".py"):
                reason += f": did you mean {name.removesuffix('.py')}{target.removeprefix(name)}?"
        else:
            reason = in_one_line(error)
        raise StartError(f"cannot import {target}: {reason}") from error
    except Told:
        raise
    except BaseException as error:  # whatever a module does when it is imported
        raise StartError(f"cannot import {target}: {in_one_line(error)}") from error


def _meant(path: str, attribute: str) -> str:
    """The target that is meant where the module is given as a path."""
    parts = PurePath(path.removesuffix(".py").lstrip(".")).parts
    names = [part.strip("/") for part in parts if part.strip("/")]
    if not all(map(str.isidentifier, names)) or not names:
        return ""
    folder = str(PurePath(path).parent)
    if path.startswith(("/", "../")):
        return f": did you mean {names[-1]}:{attribute} with --app-dir {folder}?"
    return f": did you mean {'.'.join(names)}:{attribute}?"


def _found(path: str, folder: str | None) -> str:
    """What can be served of a module that is given alone, if it can be imported."""
    is_path = "/" in path or path.endswith(".py")
    names = PurePath(path.removesuffix(".py")).parts if is_path else path.split(".")
    if not all(map(str.isidentifier, names)):
        return ""
    name = ".".join(names)
    try:
        module = _module(name, name, folder)
    except StartError as error:
        return f": {error}"
    match _handlers(module):
        case []:
            return f", and the module {name} has no handler"
        case [handler]:
            return f": did you mean {name}:{handler}?"
        case handlers:
            return f"; the handlers of {name} are {_named(handlers)}"


def _missing(found: Any, name: str, module: str) -> str:
    """That something has no such attribute, and which handlers it has."""
    file = getattr(sys.modules[module], "__file__", None)
    place = f"the module {module}" + (f" ({file})" if file else "")
    if not inspect.ismodule(found):
        return f"a value of type {type(found).__name__} in {place} has no attribute {name!r}"
    handlers = _handlers(found)
    near = difflib.get_close_matches(name, handlers, n=3)
    if near:
        return f"{place} has no {name!r}: did you mean {' or '.join(near)}?"
    if not handlers:
        return f"{place} has no {name!r}, and no handler"
    return f"{place} has no {name!r}; its handlers are {_named(handlers)}"


def _named(handlers: Sequence[str]) -> str:
    return ", ".join(handlers[:MAX_NAMED]) + (", …" if len(handlers) > MAX_NAMED else "")


def _handlers(module: Any) -> list[str]:
    """The names of what can be served of a module."""
    return sorted(name for name, value in vars(module).items() if _is_handler(value, module) and name[0] != "_")


def _is_handler(value: object, module: Any) -> bool:
    """Whether this can be served and is the module's own."""
    if isinstance(value, PooledEngine):
        return True
    inner = innermost(value)
    is_async = inspect.isasyncgenfunction(inner) or inspect.iscoroutinefunction(inner)
    return is_async and getattr(value, "__module__", None) == module.__name__


def _application(found: object) -> str | None:
    """Which interface of web servers this belongs to: it takes their arguments instead of one request."""
    if inspect.isasyncgenfunction(innermost(found)):
        return None
    try:
        parameters = inspect.signature(found).parameters.values()  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [each.name for each in parameters if each.kind in positional and each.default is each.empty]
    if inspect.isclass(found) or "context" in names:
        return None
    if hasattr(found, "wsgi_app") or [name.lstrip("_") for name in names] == ["environ", "start_response"]:
        return "a WSGI"
    return "an ASGI" if len(names) == 3 else None
