"""A lane's process as the command sees it."""

import select
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from pybridge.bench.protocol import Answer, Command, Failure, Lane, Result, State


class LaneError(Exception):
    """A lane could not do what it was asked to.

    Attributes:
        lane: Name of the lane.
        reason: Why.
    """

    def __init__(self, lane: str, reason: str) -> None:
        super().__init__(f"{lane}: {reason}")
        self.lane = lane
        self.reason = reason


class LaneTimeoutError(LaneError):
    """A lane took too long; so will the others."""


class HandlerError(LaneError):
    """The lane runs, and what it was asked to do with the handler failed."""


class LaneProcess:
    """One lane in a fresh process; a context manager that ends it.

    Args:
        lane: Which one.
        timeout: Seconds that one command may take; None: any time.
        checkout: Runs the build in this folder's `.venv`; None: this one's.
    """

    def __init__(self, lane: Lane, timeout: float | None = None, checkout: Path | None = None) -> None:
        self.lane = lane
        self.timeout = timeout
        python = sys.executable if checkout is None else str(checkout / ".venv/bin/python")
        self.process = subprocess.Popen(  # noqa: S603 - an interpreter that the caller names, with fixed arguments
            [python, "-m", "pybridge.bench.child"], cwd=checkout, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.answers: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)
        started = self.exchange(msgspec.json.encode(lane))
        if isinstance(started, Failure):
            raise LaneError(lane.name, started.message)
        self.start_state: State | None = started.result.state

    @property
    def pid(self) -> int:
        """Process id."""
        return self.process.pid

    def run(self, command: Command) -> Result:
        """Sends one command and waits for its result.

        Raises:
            HandlerError: The handler failed in this lane.
            LaneTimeoutError: It took too long.
            LaneError: The process died.
        """
        answer = self.exchange(msgspec.json.encode(command))
        if isinstance(answer, Failure):
            raise HandlerError(self.lane.name, answer.message)
        return answer.result

    def exchange(self, line: bytes) -> Answer:
        """One line there, one line back."""
        assert self.process.stdin is not None  # noqa: S101
        assert self.process.stdout is not None  # noqa: S101
        try:
            self.process.stdin.write(line + b"\n")
            self.process.stdin.flush()
            if not select.select([self.process.stdout], [], [], self.timeout)[0]:
                self.process.kill()
                raise LaneTimeoutError(self.lane.name, f"no result within {self.timeout:g} s")
            answer_line = self.process.stdout.readline()
        except BrokenPipeError:
            answer_line = b""
        if not answer_line:
            status = self.process.wait()
            raise LaneError(self.lane.name, f"the process ended with status {status}")
        return self.answers.decode(answer_line)

    def close(self) -> None:
        """Ends the process, at once if it does not go by itself."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.process.kill()
        self.close()
