"""Lines of the command on standard error, and the error of a server that cannot start."""

from __future__ import annotations

import contextlib
import importlib
import logging
import select
import sys
import traceback
from typing import Any

from pybridge.errors import HandlerExit

PROVIDERS = {"dotenv": ("python-dotenv", "dotenv"), "watchfiles": ("watchfiles", "reload")}
"""The distributions of modules that options need, and the extras that have them."""


class StartError(Exception):
    """A server cannot start; its text is the reason, on one line."""


def needed_by(option: str, module: str) -> Any:
    """A module of another distribution, which an option needs.

    Raises:
        StartError: The distribution is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        distribution, extra = PROVIDERS[module.partition(".")[0]]
        raise StartError(f"{option} needs {distribution}: pip install 'pybridge-engine[{extra}]'") from None


def in_one_line(error: BaseException) -> str:
    """The class, the message and the place of an exception; those of its cause for one that only contains it."""
    if isinstance(error, HandlerExit) and error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(traceback.format_exception_only(error)[-1].split())
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{text} ({error.filename}:{error.lineno})"
    return f"{text} ({frames[-1].filename}:{frames[-1].lineno})" if frames else text


def say(text: str, level: int = logging.WARNING) -> None:
    """Writes a line to standard error; it is lost where nobody reads what was written before."""
    if sys.stderr is None:
        return
    with contextlib.suppress(OSError, ValueError):
        _, writable, _ = select.select([], [sys.stderr], [], 0)
        if writable:
            sys.stderr.write(f"{line(text, level)}\n")
            sys.stderr.flush()


def line(text: str, level: int) -> str:
    """What the command says, in the form of its log."""
    if not _forms:
        return f"pybridge: {text}"
    return _forms[-1].format(logging.LogRecord("pybridge.server", level, "", 0, text, None, None))


def say_in(form: logging.Formatter) -> None:
    """Has lines look like those of the log."""
    _forms.append(form)


_forms: list[logging.Formatter] = []
"""Empty: lines are text that begins with the name of the command."""
