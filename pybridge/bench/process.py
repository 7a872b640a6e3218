"""The command's side of a lane's process."""

import subprocess
import sys
from types import TracebackType
from typing import Self

import msgspec

from pybridge.bench.protocol import Answer, Command, Failure, Lane, Result, State


class LaneError(Exception):
    """A lane could not do what it was asked to; the message says which and why."""


class LaneProcess:
    """One lane in a fresh process; a context manager that ends it."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pybridge.bench.child"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.answers: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)
        started = self.exchange(msgspec.json.encode(lane))
        self.start_state: State | None = started.state

    @property
    def pid(self) -> int:
        """Process id."""
        return self.process.pid

    def run(self, command: Command) -> Result:
        """Sends one command and waits for its result.

        Raises:
            LaneError: The handler failed in this lane, or the process died.
        """
        return self.exchange(msgspec.json.encode(command))

    def exchange(self, line: bytes) -> Result:
        """One line there, one line back."""
        assert self.process.stdin is not None  # noqa: S101
        assert self.process.stdout is not None  # noqa: S101
        try:
            self.process.stdin.write(line + b"\n")
            self.process.stdin.flush()
            answer_line = self.process.stdout.readline()
        except BrokenPipeError:
            answer_line = b""
        if not answer_line:
            status = self.process.wait()
            raise LaneError(f"{self.lane.name}: the process ended with status {status}")
        answer = self.answers.decode(answer_line)
        if isinstance(answer, Failure):
            raise LaneError(f"{self.lane.name}: {answer.message}")
        return answer.result

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
