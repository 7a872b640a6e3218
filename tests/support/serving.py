"""A program that serves, as users start it: its files, its process, what it says and how it ends."""

from __future__ import annotations

import functools
import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from support.waiting import wait_until

ANNOUNCED = re.compile(r"^pybridge: serving on (\S+)$", re.MULTILINE)

SERVERS_OWN = re.compile(
    r"^[-\d]+ [\d:,]+ INFO (\[\d+\] )?pybridge\.server: "
    r"((draining|leaving|drained).*|\S+ (streams items|answers one value))\n",
    re.MULTILINE,
)


@dataclass
class Program:
    """A process that was started; its output goes to files."""

    process: subprocess.Popen[bytes]
    folder: Path

    @property
    def out(self) -> str:
        """What it has written to standard output."""
        return (self.folder / "stdout").read_text()

    @property
    def log(self) -> str:
        """What it has written to standard error."""
        return (self.folder / "stderr").read_text()

    @property
    def err(self) -> str:
        """The same without the lines that tell how a server begins and ends."""
        return SERVERS_OWN.sub("", self.log)

    def said(self, text: str) -> Program:
        """Waits until its standard error holds this."""
        wait_until(lambda: text in self.log or self.process.poll() is not None, lambda: f"{text!r} in:\n{self.log}")
        assert text in self.log, self.log
        return self

    @functools.cached_property
    def url(self) -> str:
        """Where it serves, as soon as it has said so."""
        wait_until(
            lambda: ANNOUNCED.search(self.out) or self.process.poll() is not None,
            lambda: f"it serves:\n{self.out}\n{self.err}",
        )
        found = ANNOUNCED.search(self.out)
        assert found, f"ended with status {self.process.returncode}:\n{self.out}\n{self.err}"
        return found[1]

    @property
    def port(self) -> int:
        """The port of its address."""
        return int(self.url.rpartition(":")[2])

    def post(self, request: Any = None, path: str = "/generate", **more: Any) -> httpx.Response:
        """Asks it once."""
        return httpx.post(f"{self.url}{path}", json=request, timeout=20, trust_env=False, verify=False, **more)

    def get(self, path: str, **more: Any) -> httpx.Response:
        """Asks for a page."""
        return httpx.get(f"{self.url}{path}", timeout=20, trust_env=False, verify=False, **more)

    def signal(self, number: signal.Signals = signal.SIGTERM) -> Program:
        """Sends it a signal."""
        self.process.send_signal(number)
        return self

    def ended(self, status: int = 0) -> Program:
        """Waits for its end, which must have this status."""
        found = self.process.wait(30)
        assert found == status, f"status {found}, not {status}:\n{self.out}\n{self.err}"
        return self


def children(program: Program) -> set[int]:
    """The processes that it keeps."""
    pid = program.process.pid
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def is_alive(pid: int) -> bool:
    """Whether this process runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


Starter = Callable[..., Program]
"""Starts a program with these arguments; see `run`."""


def run(folder: Path, *arguments: str, environment: Mapping[str, str] | None = None, **more: Any) -> Program:
    """Starts an interpreter with these arguments in a folder."""
    own = folder / f"run-{len(list(folder.glob('run-*')))}"
    own.mkdir()
    with (own / "stdout").open("wb") as out, (own / "stderr").open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            **more,
        )
    return Program(process, own)


def write(folder: Path, name: str, text: str) -> Path:
    """Puts a file of Python into a folder."""
    path = folder / name
    path.write_text(textwrap.dedent(text))
    return path
