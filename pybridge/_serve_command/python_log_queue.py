"""The log of Python on standard error, which a thread of its own writes: nobody who logs waits for a reader."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
from logging.handlers import QueueHandler, QueueListener

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
"""What a line looks like."""

FORMAT_OF_SEVERAL = "%(asctime)s %(levelname)s [%(process)d] %(name)s: %(message)s"
"""The same where several processes write to one place."""

MAX_WAITING = 10_000
"""Messages that may wait to be written; more are lost."""

LAST_LINES = 1.0
"""Seconds that the process waits at its end for what it has logged to be written."""


class _Writer(QueueListener):
    """Writes messages to the descriptor of standard error.

    Not to `sys.stderr`: the interpreter's end would wait for its lock, which a write holds that nobody reads.
    """

    def handle(self, record: logging.LogRecord) -> None:
        rest = f"{record.getMessage()}\n".encode(errors="backslashreplace")
        with contextlib.suppress(OSError):  # there is nobody to tell it to
            while rest:
                rest = rest[os.write(2, rest) :]


class _Waiting(QueueHandler):
    """Hands whole lines to the thread that writes them; the child of a fork has no such thread, and writes itself."""

    def __init__(self, messages: queue.Queue[logging.LogRecord], writer: _Writer, form: logging.Formatter) -> None:
        super().__init__(messages)
        self.setFormatter(form)
        self._messages = messages
        self._writer = writer
        self._process = os.getpid()

    def enqueue(self, record: logging.LogRecord) -> None:
        if os.getpid() != self._process:
            self._writer.handle(record)
            return
        with contextlib.suppress(queue.Full):
            self._messages.put_nowait(record)

    def flush(self) -> None:
        """Waits until all is written, but no longer than a moment."""
        if os.getpid() == self._process:
            with self._messages.all_tasks_done:
                self._messages.all_tasks_done.wait_for(lambda: not self._messages.unfinished_tasks, LAST_LINES)


def lines(*, is_one_of_several: bool) -> logging.Formatter:
    """Lines of text, with the number of the process where several write to one place."""
    return logging.Formatter(FORMAT_OF_SEVERAL if is_one_of_several else FORMAT)


def log_to_standard_error(level: str, form: logging.Formatter) -> None:
    """Sends what Python logs from this level on to standard error; what is left is written when the process ends."""
    messages: queue.Queue[logging.LogRecord] = queue.Queue(MAX_WAITING)
    writer = _Writer(messages)
    logging.basicConfig(level=level.upper(), handlers=[_Waiting(messages, writer, form)])
    writer.start()


def flush() -> None:
    """Waits until what was logged is written, but no longer than a moment."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _Waiting):
            handler.flush()
