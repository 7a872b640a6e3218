"""Lines of the command on standard error, and the error of a server that cannot start."""

from __future__ import annotations

import contextlib
import select
import sys
import traceback

from pybridge.errors import HandlerExit


class StartError(Exception):
    """A server cannot start; its text is the reason, on one line."""


def in_one_line(error: BaseException) -> str:
    """The class, the message and the place of an exception; those of its cause for one that only contains it."""
    if isinstance(error, HandlerExit) and error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(traceback.format_exception_only(error)[-1].split())
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{text} ({error.filename}:{error.lineno})"
    return f"{text} ({frames[-1].filename}:{frames[-1].lineno})" if frames else text


def say(text: str) -> None:
    """Writes a line to standard error; it is lost where nobody reads what was written before."""
    if sys.stderr is None:
        return
    with contextlib.suppress(OSError, ValueError):
        _, writable, _ = select.select([], [sys.stderr], [], 0)
        if writable:
            sys.stderr.write(f"pybridge: {text}\n")
            sys.stderr.flush()
