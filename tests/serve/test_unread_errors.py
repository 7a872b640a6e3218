"""A server whose standard error is a full pipe that nobody reads: it serves, and ends."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from support import serving
from support.serving import Program, Starter, children
from support.waiting import wait_until

QUICK = ("--port", "0", "--drain-timeout", "0", "--flow-cancel-grace", "0.01")

LAUNCHER = """
import os, sys
os.dup2(int(sys.argv[1]), 2)
os.execv(sys.executable, [sys.executable, "-m", "pybridge", "serve", *sys.argv[2:]])
"""

OUT_LAUNCHER = LAUNCHER.replace(", 2)", ", 1)")

FAILING = """
    async def fail(request):
        raise ValueError("no reason")
        yield
"""


@pytest.fixture
def full() -> Iterator[int]:
    """The end of a pipe into which nothing more goes."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    os.set_blocking(writer, True)
    yield writer
    os.close(reader)
    os.close(writer)


@pytest.fixture
def unread(run: Starter, full: int) -> Callable[..., Program]:
    """Starts `pybridge serve` with that as its standard error."""
    return lambda *arguments: run("-c", LAUNCHER, str(full), *arguments, pass_fds=[full])


@pytest.mark.guarantee("D-23")
def test_an_access_log_that_nobody_reads_keeps_neither_requests_nor_the_end(unread: Starter) -> None:
    program = unread("app:echo", *QUICK, "--access-log", "text")
    for number in range(3):
        assert program.post(number).text == f"{number}\n"
    program.signal().ended(0)


@pytest.mark.guarantee("D-23")
def test_failures_that_cannot_be_logged_keep_neither_handlers_nor_the_end(unread: Starter, folder: Path) -> None:
    serving.write(folder, "failing.py", FAILING)
    program = unread("failing:fail", *QUICK)
    for _ in range(3):
        assert program.post({}).status_code == 500
    program.signal().ended(0)


def test_connections_that_cannot_be_accepted_are_taken_later_though_nobody_hears_of_it(unread: Starter) -> None:
    program = unread("app:echo", *QUICK)
    assert program.get("/health/live").status_code == 200
    pid = program.process.pid
    used = max(int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir())
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 2, hard))
    with contextlib.ExitStack() as clients:
        for _ in range(used + 2):
            clients.enter_context(socket.create_connection(("127.0.0.1", program.port)))
        wait_until(lambda: "pybridge-report" in threads(pid), lambda: f"{threads(pid)}")
    assert program.get("/health/live").status_code == 200
    assert program.post(1).text == "1\n"
    program.signal().ended(0)


def threads(pid: int) -> list[str]:
    """The names of a process's threads."""
    return [path.read_text().strip() for path in Path(f"/proc/{pid}/task").glob("*/comm")]


def test_a_supervisor_that_nobody_hears_does_what_it_would_say(unread: Starter) -> None:
    program = unread("app:echo", *QUICK, "--workers", "2")
    assert program.url
    os.kill(victim := min(first := children(program)), signal.SIGKILL)
    wait_until(lambda: len(children(program) - {victim}) == 2, "there are two again")
    assert first - children(program) == {victim}
    program.signal().ended(0)


def test_a_standard_output_that_is_full_keeps_no_server_and_is_told(run: Starter) -> None:
    with Path("/dev/full").open("w") as full:
        program = run("-c", OUT_LAUNCHER, str(full.fileno()), "app:echo", *QUICK, pass_fds=[full.fileno()])
        program.said("which standard output does not take: No space left on device\n")
    found = re.search(r"^pybridge: serving on (\S+), which", program.err)
    assert found
    assert httpx.post(f"{found[1]}/generate", json=1, trust_env=False).text == "1\n"
    program.signal().ended(0)
    assert program.err.count("\n") == 1


def test_a_process_that_may_have_too_few_files_says_how_many(serve: Starter) -> None:
    program = serve("app:echo", *QUICK, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (12, 12)))
    program.ended(2)
    assert program.log == "pybridge: Too many open files: this process may have 12 (ulimit -n)\n"
