"""Several processes on one socket: their starts, their ends, and the signals that they are sent."""

from __future__ import annotations

import contextlib
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pybridge._serve.signals import STOPPING

FIRST_PAUSE = 0.1
"""Seconds before a process that has died is replaced for the first time; each next pause is twice as long."""

LONGEST_PAUSE = 10.0
"""Longest of these pauses."""

SETTLED = 60.0
"""Seconds that a process has to serve for its end to count as the first one again."""

MAX_FAILED_STARTS = 5
"""Processes that may end one after the other before they were ready, before all is given up."""

SECOND_GRACE = 1.0
"""Seconds that processes have for ending after a second signal."""

UNREADY_GRACE = 5.0
"""Seconds that a process which is not ready has to end."""

START_FAILED = 2
"""Exit status where processes cannot start."""

READY = b"ready"
"""What a process says when it takes connections; anything else is why it cannot."""


@dataclass(eq=False)
class Child:
    """One process that serves.

    Attributes:
        channel: Says whether it is ready, and closes with the supervisor: then the process drains.
        since: When it was started, or became ready.
        said: What it has said so far.
    """

    process: subprocess.Popen[bytes]
    channel: socket.socket
    since: float
    said: bytes = field(default=b"")

    @property
    def is_ready(self) -> bool:
        """True once it takes connections."""
        return self.said == READY


class Supervisor:
    """Keeps a number of processes running that share sockets.

    SIGTERM and SIGINT are passed on, and end it when all processes have ended. SIGHUP replaces one process after the
    other: each is told by SIGHUP to leave the sockets when the one in its place is ready.

    Args:
        command: Starts one process; the descriptors of the sockets and of its channel are added to it.
        number: How many there are.
        descriptors: Sockets that they share.
        announce: Called when all are ready for the first time.
        patience: Seconds after which a process that was told to end is killed; after a second signal it is one.
    """

    def __init__(
        self,
        command: Callable[[int], Sequence[str]],
        number: int,
        descriptors: Sequence[int],
        announce: Callable[[], None],
        patience: float,
    ) -> None:
        self._patience = patience
        self._command = command
        self._number = number
        self._descriptors = descriptors
        self._announce: Callable[[], None] | None = announce
        self._children: list[Child] = []
        self._due: list[float] = []
        self._pause = FIRST_PAUSE
        self._failed_starts = 0
        self._signals = 0
        self._status = 0
        self._kill_unready_at: float | None = None
        self._kill_at: float | None = None
        self._outdated: list[Child] = []
        self._replaced: Child | None = None
        self._replacement: Child | None = None
        self._selector = selectors.DefaultSelector()

    def run(self) -> int:
        """Runs until all processes have ended: it is told to stop, or they cannot start; gives the exit status.

        Raises:
            OSError: The system has no room for the first processes.
        """
        reader, writer = socket.socketpair()
        for end in (reader, writer):
            end.setblocking(False)
        numbers = (*STOPPING, signal.SIGHUP, signal.SIGCHLD)
        before = {number: signal.signal(number, lambda *_: None) for number in numbers}
        wakeup = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        self._selector.register(reader, selectors.EVENT_READ)
        try:
            for _ in range(self._number):
                self._children.append(self._started())
            while self._children or self._due:
                self._turn(reader)
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            for child in self._children:  # only where this ends by an exception
                child.process.kill()
                child.process.wait()
                child.channel.close()
            reader.close()
            writer.close()
            self._selector.close()
        return self._status

    def _turn(self, signals: socket.socket) -> None:
        """Waits for the next thing that happens, and does what it asks for."""
        times = [*self._due, *(at for at in (self._kill_unready_at, self._kill_at) if at is not None)]
        pause = max(0.0, min(times) - time.monotonic()) if times else None
        for key, _ in self._selector.select(pause):
            if key.fileobj is signals:
                with contextlib.suppress(BlockingIOError):
                    for number in signals.recv(4096):
                        self._signalled(number)
            else:
                self._heard(key.data)
        for child in [child for child in self._children if child.process.poll() is not None]:
            self._ended(child)
        now = time.monotonic()
        due = [at for at in self._due if at <= now]
        self._due = [at for at in self._due if at > now]
        for _ in due:
            try:
                self._children.append(self._started())
            except OSError as error:
                self._failed(f"no process can be started: {error.strerror or error}")
        self._kill_late(now)

    def _kill_late(self, now: float) -> None:
        """Kills those that were told to end and have not in time."""
        if self._kill_unready_at is not None and now >= self._kill_unready_at:
            self._kill_unready_at = None
            for child in self._children:
                if not child.is_ready:
                    _tell(child, signal.SIGKILL)
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_at = None
            for child in self._children:
                _tell(child, signal.SIGKILL)

    def _started(self) -> Child:
        here, there = socket.socketpair()
        passed = (*self._descriptors, there.fileno())
        # A group of its own: what a terminal sends to its processes comes once, from here.
        with there:
            process = subprocess.Popen(self._command(there.fileno()), pass_fds=passed, process_group=0)  # noqa: S603
        here.setblocking(False)
        child = Child(process, here, time.monotonic())
        self._selector.register(here, selectors.EVENT_READ, child)
        return child

    def _heard(self, child: Child) -> None:
        try:
            said = child.channel.recv(4096)
        except BlockingIOError:
            return
        except ConnectionResetError:
            said = b""
        if not said:
            self._selector.unregister(child.channel)
            return
        child.said += said
        if not child.is_ready:
            return
        child.since = time.monotonic()
        self._failed_starts = 0
        if self._announce is not None and all(child.is_ready for child in self._children) and not self._due:
            announce, self._announce = self._announce, None
            announce()
        if child is self._replacement:
            if self._replaced is None:
                self._replace_next()
            elif not self._signals:
                _tell(self._replaced, signal.SIGHUP)

    def _signalled(self, number: int) -> None:
        if number in STOPPING:
            if self._signals or self._announce is not None:
                self._status = 128 + number
            self._stop(number)
        elif number == signal.SIGHUP and not self._signals and self._replacement is None:
            self._outdated = [child for child in self._children if child.is_ready]
            self._replace_next()

    def _stop(self, number: int) -> None:
        """Starts nothing any more, and passes a signal on; what is not ready has nothing to finish."""
        self._signals += 1
        self._due.clear()
        self._outdated.clear()
        now, is_first = time.monotonic(), self._signals == 1
        self._kill_unready_at = now + (UNREADY_GRACE if is_first else 0)
        self._kill_at = now + (self._patience if is_first else SECOND_GRACE)
        for child in self._children:
            _tell(child, number)

    def _replace_next(self) -> None:
        """Starts a process in the place of the next outdated one, which goes on until the new one is ready."""
        self._replaced = self._replacement = None
        if not self._outdated:
            return
        try:
            self._replacement = self._started()
        except OSError as error:
            _say(f"no process can be started: {error.strerror or error}; the processes that run are not replaced")
            self._outdated.clear()
            return
        self._children.append(self._replacement)
        self._replaced = self._outdated.pop(0)

    def _ended(self, child: Child) -> None:
        """Decides what follows the end of a process."""
        self._children.remove(child)
        with contextlib.suppress(KeyError):
            self._heard(child)  # what it said last
            self._selector.unregister(child.channel)
        child.channel.close()
        status = child.process.returncode
        if self._signals:
            if child.is_ready and status != 0 and self._status == 0:
                self._status = status if status > 0 else 128 - status
            return
        if child is self._replaced:
            self._replaced = None
            if self._replacement is not None and self._replacement.is_ready:
                self._replace_next()
            return
        if child in self._outdated:
            self._outdated.remove(child)
        if child.is_ready:
            if time.monotonic() - child.since >= SETTLED:
                self._pause = FIRST_PAUSE
            _say(f"process {child.process.pid} has {_ending(status)}; another one starts in {self._pause:g} s")
            self._start_later()
            return
        reason = child.said.decode(errors="replace") or f"a process has {_ending(status)}"
        if child is self._replacement:
            is_missed = self._replaced is None
            self._outdated.clear()
            self._replaced = self._replacement = None
            if not is_missed:
                _say(f"{reason}; the processes that run are not replaced")
                return
        self._failed(reason)

    def _failed(self, reason: str) -> None:
        """A process could not start."""
        self._failed_starts += 1
        if self._announce is not None or self._failed_starts >= MAX_FAILED_STARTS:
            _say(reason if self._announce is not None else f"{reason}; this was the {MAX_FAILED_STARTS}th in a row")
            self._announce = None
            self._status = START_FAILED
            self._stop(signal.SIGTERM)
            return
        _say(f"{reason}; another try in {self._pause:g} s")
        self._start_later()

    def _start_later(self) -> None:
        self._due.append(time.monotonic() + self._pause)
        self._pause = min(self._pause * 2, LONGEST_PAUSE)


def _tell(child: Child, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        child.process.send_signal(number)


def _ending(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    with contextlib.suppress(ValueError):
        return f"been ended by {signal.Signals(-status).name}"
    return f"been ended by signal {-status}"


def _say(text: str) -> None:
    sys.stderr.write(f"pybridge: {text}\n")
    sys.stderr.flush()
