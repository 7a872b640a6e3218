"""Signals of a process that serves: the first asks it to drain, a second ends it."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import signal
import socket
import threading
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Any, Self

from pybridge import _pybridge

STOPPING = (signal.SIGINT, signal.SIGTERM)
"""Signals that ask a process to end."""


class Told(SystemExit):
    """A signal has told the process to end before it served; nothing else raises this.

    Attributes:
        status: The exit status of a process that this signal ends.
    """

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.status = 128 + number


class Signals:
    """Takes the signals that ask the process to end, and gives the handlers of before back when it is left.

    At first they end the program as Python does: `KeyboardInterrupt` or `Told`, raised in the main thread; a second one
    ends the process at once. Once handed over, Python's handlers do nothing: those of the system write to a
    socket that Rust reads, whatever holds the interpreter.

    Args:
        ends: The process ends when this is left: the signals stay taken until it has.

    Attributes:
        told: What the first signal has raised.
    """

    def __init__(self, *, ends: bool = False) -> None:
        self._ends = ends
        self.told: Told | KeyboardInterrupt | None = None
        self._before: dict[int, Any] = {}
        self._descriptors: Sequence[int] = ()
        self._writer: socket.socket | None = None
        self._wakeup = -1

    def forget_in_children(self, descriptors: Sequence[int]) -> None:
        """Has the child of a fork close these: sockets that it holds would outlive the server."""
        self._descriptors = descriptors

    def leave_to_parent(self) -> None:
        """In the child of a fork: signals to it are its own, and it keeps no socket of the server's."""
        with contextlib.suppress(ValueError, OSError):
            signal.set_wakeup_fd(-1)
            for number in self._before:
                signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        for descriptor in self._descriptors:
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def __enter__(self) -> Self:
        _taken.add(self)
        if self._ends:
            # The last thing that Python does before it takes its handlers away; what comes then is too late.
            atexit.register(ignore_signals)
        self._before = {number: signal.signal(number, self._leave) for number in STOPPING}
        return self

    def _leave(self, number: int, _frame: FrameType | None) -> None:
        for stopping in STOPPING:
            signal.signal(stopping, _end)
        is_interrupt = number == signal.SIGINT and not self._ends
        self.told = KeyboardInterrupt() if is_interrupt else Told(number)
        raise self.told

    def check(self) -> None:
        """Raises once more what a signal has raised: other code may have caught it, as modules do while they import."""
        if self.told is not None:
            raise self.told

    def hand_over(self, server: _pybridge.HttpServer, within: float, *, replaced: bool = False) -> None:
        """Lets Rust act on signals from now on; see `HttpServer.watch_signals`.

        `replaced`: SIGHUP comes when another process has taken this one's place; else it is left alone where somebody
        has decided what it does, as nohup has.
        """
        reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        server.watch_signals(reader.detach(), within, replaced)
        self._wakeup = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        takes_hangup = replaced or signal.getsignal(signal.SIGHUP) == signal.SIG_DFL
        for number in (*STOPPING, signal.SIGHUP) if takes_hangup else STOPPING:
            before = signal.signal(number, _leave_to_rust)
            self._before.setdefault(number, before)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._ends:
            return
        _taken.discard(self)
        if self._writer is not None:
            signal.set_wakeup_fd(self._wakeup)
            self._writer.close()
        for number, handler in self._before.items():
            if handler is not None:  # None: one that was not installed from Python, and cannot be put back
                signal.signal(number, handler)


_taken: set[Signals] = set()
"""Those that are entered."""


_forking = threading.local()


def _before_fork() -> None:
    """What is sent to the child before its handlers are its own waits until they are."""
    _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, (*STOPPING, signal.SIGHUP)) if _taken else None


def _in_parent() -> None:
    if _forking.mask is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, _forking.mask)


def _in_child() -> None:
    for signals in _taken:
        signals.leave_to_parent()
    _in_parent()


os.register_at_fork(before=_before_fork, after_in_parent=_in_parent, after_in_child=_in_child)


def _end(number: int, _frame: FrameType | None) -> None:
    os._exit(128 + number)


def ignore_signals() -> None:
    """Has the system throw away what would end or reload this process: it has only to end."""
    for number in (*STOPPING, signal.SIGHUP):
        # The system first: of a signal that comes between Python's look at pending ones and the change Python writes a
        # traceback.
        ctypes.CDLL(None).signal(number, ctypes.c_void_p(signal.SIG_IGN))
        signal.signal(number, signal.SIG_IGN)


def _leave_to_rust(_number: int, _frame: FrameType | None) -> None:
    pass
