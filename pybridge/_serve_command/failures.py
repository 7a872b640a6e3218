"""The reasons why a server cannot start, each on one line."""

from __future__ import annotations

import traceback


class StartError(Exception):
    """A server cannot start; its text is the reason, on one line."""


def in_one_line(error: BaseException) -> str:
    """The class, the message and the place of an exception."""
    text = " ".join(traceback.format_exception_only(error)[-1].split())
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{text} ({error.filename}:{error.lineno})"
    return f"{text} ({frames[-1].filename}:{frames[-1].lineno})" if frames else text
