"""Text of a traceback, bounded in length and in the time that it takes to make."""

import traceback
from collections.abc import Iterator
from itertools import islice

MAX_BYTES = 8 << 10
_MAX_FRAMES = 64
_MAX_CHAINED = 8
_CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
_CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n\n"


def text_of(error: BaseException, source: bool) -> str:
    """The traceback of `error` and of what led to it, as the interpreter prints it.

    At most 8 KiB of UTF-8, its head and its tail; of each exception the last 64 frames, of what led to it 8 exceptions.
    `source` adds the lines of source, which are read from files.
    """
    chain = list(islice(_chain(error), _MAX_CHAINED))
    parts = [lead + _one(member, source) for member, lead in reversed(chain)]
    return _bounded("".join(parts))


def _chain(error: BaseException) -> Iterator[tuple[BaseException, str]]:
    """The exception and what led to it, each with the words that lead from the one before it to it."""
    seen = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        if current.__cause__ is not None:
            before, lead = current.__cause__, _CAUSE
        elif current.__context__ is not None and not current.__suppress_context__:
            before, lead = current.__context__, _CONTEXT
        else:
            before, lead = None, ""
        yield current, lead if before is not None and id(before) not in seen else ""
        current = before


def _one(error: BaseException, source: bool) -> str:
    if source:
        return "".join(traceback.format_exception(type(error), error, error.__traceback__, -_MAX_FRAMES, chain=False))
    frames = list(traceback.walk_tb(error.__traceback__))[-_MAX_FRAMES:]
    lines = [f'  File "{frame.f_code.co_filename}", line {line}, in {frame.f_code.co_name}\n' for frame, line in frames]
    head = ["Traceback (most recent call last):\n"] if lines else []
    # Not `format_exception_only`, which reads the source of all that led to it.
    said = traceback.TracebackException(type(error), error, None, limit=0, lookup_lines=False, compact=True)
    return "".join([*head, *lines, *said.format_exception_only()])


def _bounded(text: str) -> str:
    data = text.encode("utf-8", "backslashreplace")
    if len(data) <= MAX_BYTES:
        return data.decode()
    mark = b"\n  [...]\n"
    half = (MAX_BYTES - len(mark)) // 2
    return (data[:half] + mark + data[-half:]).decode("utf-8", "ignore")
