"""Python snippets in interpreters of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

COMMAND = "from pybridge.cli import main; import sys; sys.exit(main(sys.argv[1:]))"
"""A snippet that is the command `pybridge`, with the arguments after it."""


def noise(stderr: str) -> str:
    """What a program wrote to standard error, but for remarks on slow loops, of asyncio and of pybridge."""
    kept, in_stack = "", False
    for line in stderr.splitlines(keepends=True):
        in_stack = line.startswith("the event loop of worker ") or (in_stack and line.startswith("  "))
        if not in_stack and not line.startswith("Executing <"):
            kept += line
    return kept


class PythonRunner:
    """Runs a snippet under `-X dev -W error`, outside the source tree, and fails on any noise.

    The exit status must be `status` and standard error must be empty, unless `stderr` names text that it must contain.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(
        self,
        snippet: str,
        *arguments: str,
        status: int = 0,
        stderr: str = "",
        environment: Mapping[str, str] | None = None,
        options: tuple[str, ...] = ("-X", "dev", "-W", "error"),
        timeout: float = 60.0,
    ) -> str:
        """Gives what the snippet wrote to standard output."""
        command = [sys.executable, *options, "-c", textwrap.dedent(snippet), *arguments]
        done = subprocess.run(
            command,
            cwd=self._folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        report = f"status {done.returncode}\nstdout:\n{done.stdout}\nstderr:\n{done.stderr}"
        assert done.returncode == status, report
        assert stderr in done.stderr if stderr else not noise(done.stderr), report
        return done.stdout
