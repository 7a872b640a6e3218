"""Several processes on one socket: their starts, their ends, and the signals that they are sent."""

from __future__ import annotations

import contextlib
import logging
import selectors
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence

from pybridge._serve.signals import STOPPING, ignore_signals
from pybridge._serve_command.start_errors import say
from pybridge._serve_command.worker_process import ChildProcess

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

START_FAILED = 2
"""Exit status where processes cannot start."""


class Supervisor:
    """Keeps a number of processes running that share sockets.

    SIGTERM and SIGINT are passed on, and end it when all processes have ended. SIGHUP replaces one process after the
    other: each is told by SIGHUP to leave the sockets when the one in its place is ready. A process that was told to
    end and does not is killed.

    Args:
        command: Starts one process; the descriptors of the sockets and of its channel are added to it.
        number: How many there are.
        descriptors: What they share.
        announce: Called when all are ready for the first time.
        environment: Their environment variables.
    """

    def __init__(
        self,
        command: Callable[[int], Sequence[str]],
        number: int,
        descriptors: Sequence[int],
        announce: Callable[[], None],
        environment: Mapping[str, str],
    ) -> None:
        self._command = command
        self._number = number
        self._descriptors = descriptors
        self._environment = environment
        self._announce: Callable[[], None] | None = announce
        self._children: list[ChildProcess] = []
        self._due: list[float] = []
        self._pause = FIRST_PAUSE
        self._failed_starts = 0
        self._signals = 0
        self._status = 0
        self._outdated: list[ChildProcess] = []
        self._replaced: ChildProcess | None = None
        self._replacement: ChildProcess | None = None
        self._is_reloading = False
        self._reloads_again = False
        self._selector = selectors.DefaultSelector()

    def run(self) -> int:
        """Runs until all processes have ended: it is told to stop, or they cannot start; gives the exit status.

        No signal that it knows does anything from then on: the process has only to end, with this status.

        Raises:
            OSError: The system has no room for the first processes.
        """
        reader, writer = socket.socketpair()
        for end in (reader, writer):
            end.setblocking(False)
        numbers = (*STOPPING, signal.SIGHUP, signal.SIGCHLD)
        # Before the handlers: what comes between them is read here.
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, lambda *_: None)
        self._selector.register(reader, selectors.EVENT_READ)
        try:
            for _ in range(self._number):
                self._start()
            while self._children or self._due:
                self._turn(reader)
        finally:
            for child in self._children:  # only where this ends by an exception
                child.process.kill()
                child.process.wait()
                child.channel.close()
            ignore_signals()
            signal.set_wakeup_fd(-1)
            reader.close()
            writer.close()
            self._selector.close()
        return self._status

    def _turn(self, signals: socket.socket) -> None:
        """Waits for the next thing that happens, and does what it asks for."""
        times = [*self._due, *(child.kill_at for child in self._children if child.kill_at is not None)]
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
                self._start()
            except OSError as error:
                self._failed(f"no process can be started: {error.strerror or error}")
        for child in self._children:
            if child.kill_at is not None and now >= child.kill_at:
                say(f"process {child.process.pid} has not ended in time: it is killed")
                child.kill()

    def _start(self) -> ChildProcess:
        child = ChildProcess.started(self._command, self._descriptors, self._environment)
        self._children.append(child)
        self._selector.register(child.channel, selectors.EVENT_READ, child)
        return child

    def _heard(self, child: ChildProcess) -> None:
        was_ready = child.is_ready
        if not child.hear():
            self._selector.unregister(child.channel)
        if was_ready or not child.is_ready:
            return
        self._failed_starts = 0
        if self._announce is not None and all(child.is_ready for child in self._children) and not self._due:
            announce, self._announce = self._announce, None
            announce()
            self._reload_again()
        if child is self._replacement:
            if self._replaced is None:
                self._replace_next()
            else:
                self._replaced.end(signal.SIGHUP)

    def _signalled(self, number: int) -> None:
        if number in STOPPING:
            if self._signals or self._announce is not None:
                self._status = 128 + number
            self._stop(number)
        elif number == signal.SIGHUP and not self._signals:
            if self._announce is None and not self._is_reloading:
                self._reload()
            elif not self._reloads_again:
                self._reloads_again = True
                say("SIGHUP while processes are being started: all are replaced after that", logging.INFO)

    def _stop(self, number: int) -> None:
        """Starts nothing any more, and passes a signal on."""
        self._signals += 1
        self._due.clear()
        self._outdated.clear()
        self._replaced = self._replacement = None
        self._is_reloading = self._reloads_again = False
        for child in self._children:
            child.end(number, None if self._signals == 1 else SECOND_GRACE)

    def _reload(self) -> None:
        """Replaces all processes that there are now."""
        self._is_reloading = True
        self._outdated = list(self._children)
        say("the processes are being replaced, one after the other", logging.INFO)
        self._replace_next()

    def _replace_next(self) -> None:
        """Starts a process in the place of the next outdated one, which goes on until the new one is ready."""
        self._replaced = self._replacement = None
        if not self._outdated:
            self._reloaded("all processes have been replaced", logging.INFO)
            return
        try:
            self._replacement = self._start()
        except OSError as error:
            reason = f"no process can be started: {error.strerror or error}"
            self._reloaded(f"{reason}; the processes that run are not replaced")
            return
        self._replaced = self._outdated.pop(0)

    def _reloaded(self, text: str, level: int = logging.WARNING) -> None:
        """Ends a reload, and begins the next one if that was asked for meanwhile."""
        say(text, level)
        self._outdated.clear()
        self._replaced = self._replacement = None
        self._is_reloading = False
        self._reload_again()

    def _reload_again(self) -> None:
        if self._reloads_again:
            self._reloads_again = False
            self._reload()

    def _ended(self, child: ChildProcess) -> None:
        """Decides what follows the end of a process."""
        self._hear_last(child)
        self._children.remove(child)
        if self._signals:
            if child.is_ready and child.status != 0 and self._status == 0:
                self._status = child.status
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
            say(f"process {child.process.pid} has {child.ending}; another one starts in {self._pause:g} s")
            self._start_later()
            return
        reason = child.said.decode(errors="replace") or f"a process has {child.ending}"
        if child is self._replacement:
            self._not_replaced(reason)
        else:
            self._failed(reason)

    def _hear_last(self, child: ChildProcess) -> None:
        """Takes leave of the channel of a process that has ended."""
        with contextlib.suppress(KeyError):
            self._selector.get_key(child.channel)
            self._heard(child)
            self._selector.unregister(child.channel)
        child.channel.close()

    def _not_replaced(self, reason: str) -> None:
        """The process that was to take another one's place could not start."""
        is_missed = self._replaced is None  # the other one has ended by itself
        self._reloaded(f"{reason}; the processes that run are not replaced")
        if is_missed:
            self._start_later()

    def _failed(self, reason: str) -> None:
        """A process could not start."""
        self._failed_starts += 1
        if self._announce is not None or self._failed_starts >= MAX_FAILED_STARTS:
            last = f"{reason}; this was the {MAX_FAILED_STARTS}th in a row"
            say(last if self._announce is None else reason, logging.ERROR)
            self._announce = None
            self._status = START_FAILED
            self._stop(signal.SIGTERM)
            return
        say(f"{reason}; another try in {self._pause:g} s")
        self._start_later()

    def _start_later(self) -> None:
        self._due.append(time.monotonic() + self._pause)
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
