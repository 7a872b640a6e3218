"""One process of several that serve, as their supervisor sees it."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from pybridge._serve.process import EXIT_TIME

READY = "ready"
"""What a process says when it takes connections, with the seconds that it may need to stop: `ready 36`, and a new line.
What it says before that is why it cannot serve."""

DRAINED = "drained"
"""What a process says when it has only to end."""

UNREADY_GRACE = 5.0
"""Seconds that a process which is not ready has to end."""

SLACK = 2.0
"""Seconds beyond its own deadline after which a process is killed. One of them it has itself where it is told to leave
its sockets to another."""

KILLED = 3
"""Exit status that stands for a process which had to be killed."""

_PR_SET_PDEATHSIG = 1


def end_with_parent(number: int | None) -> None:
    """Has the system send this process a signal, or none any more, when its parent ends; where the system can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number or 0)


@dataclass(eq=False)
class ChildProcess:
    """One process that serves.

    Attributes:
        channel: Says whether it is ready, and closes with the supervisor: then the process drains.
        since: When it was started, or became ready.
        said: What it has said so far.
        kill_at: When it is killed if it has not ended: it was told to end.
        is_late: It was killed because it had not ended in time.
    """

    process: subprocess.Popen[bytes]
    channel: socket.socket
    since: float
    said: bytes = b""
    is_ready: bool = False
    kill_at: float | None = None
    is_late: bool = False
    _patience: float = UNREADY_GRACE

    @classmethod
    def started(
        cls, command: Callable[[int], Sequence[str]], descriptors: Sequence[int], environment: Mapping[str, str]
    ) -> Self:
        """Starts one; `command` gets the descriptor of its channel.

        Raises:
            OSError: The system has no room for it.
        """
        here, there = socket.socketpair()
        passed = (*descriptors, there.fileno())
        try:
            # A group of its own: what a terminal sends to its processes comes once, from the supervisor.
            with there:
                process = subprocess.Popen(  # noqa: S603
                    command(there.fileno()), pass_fds=passed, process_group=0, env=environment
                )
        except BaseException:
            here.close()
            raise
        here.setblocking(False)
        return cls(process, here, time.monotonic())

    def hear(self) -> bool:
        """Reads what it says; False: it will say nothing more."""
        try:
            said = self.channel.recv(4096)
        except BlockingIOError:
            return True
        except ConnectionResetError:
            said = b""
        self.said += said
        first, *more = self.said.decode(errors="replace").split("\n")
        word, _, seconds = first.partition(" ")
        if word == READY and more and not self.is_ready:
            self.is_ready, self.since, self._patience = True, time.monotonic(), float(seconds) + SLACK
            if self.kill_at is not None:
                self.kill_at = self.since + self._patience
        if DRAINED in more and self.kill_at is not None and said:
            self.kill_at = max(self.kill_at, time.monotonic() + EXIT_TIME + SLACK)
        return bool(said)

    def end(self, number: int, within: float | None = None) -> None:
        """Tells it to end by this signal, and has it killed if it has not in its own time, or in so many seconds."""
        at = time.monotonic() + (self._patience if within is None else within)
        self.kill_at = at if self.kill_at is None else min(self.kill_at, at)
        # One that has only begun may not know yet what the other signals mean.
        self.tell(number if self.is_ready else signal.SIGTERM)

    def tell(self, number: int) -> None:
        """Sends it a signal."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def kill(self) -> None:
        """Ends it as the system can: it has not ended in time."""
        self.kill_at, self.is_late = None, True
        self.tell(signal.SIGKILL)

    @property
    def status(self) -> int:
        """The exit status that its end stands for."""
        status = self.process.returncode
        if self.is_late:
            return KILLED
        return int(status) if status >= 0 else 128 - status

    @property
    def ending(self) -> str:
        """How it has ended, in words."""
        status = self.process.returncode
        if status >= 0:
            return f"ended with status {status}"
        with contextlib.suppress(ValueError):
            return f"been ended by {signal.Signals(-status).name}"
        return f"been ended by signal {-status}"
