"""Processes that a handler forks: they are no part of the server, and a server's end does not depend on them."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import serving
from support.serving import Starter

ARRAY = {"Accept": "application/json"}

FORKING = '''
    import asyncio, logging, multiprocessing, time

    fork = multiprocessing.get_context("fork")

    async def ended(request):
        """Starts a process and asks it to end; tells how it did."""
        process = fork.Process(target=time.sleep, args=(60,))
        process.start()
        process.terminate()
        await asyncio.to_thread(process.join, 20)
        yield process.exitcode

    async def left(request):
        """Starts a process that goes on; tells its number."""
        process = fork.Process(target=time.sleep, args=(60,), daemon=False)
        process.start()
        multiprocessing.process._children.discard(process)  # which would be waited for
        yield process.pid

    async def logging_there(request):
        """Starts a process that logs, and waits for it."""
        process = fork.Process(target=logging.warning, args=("from the child",))
        process.start()
        await asyncio.to_thread(process.join, 20)
        yield process.exitcode
'''


@pytest.fixture
def forking(folder: Path, serve: Starter) -> Starter:
    """Starts `pybridge serve` with a handler that forks."""
    serving.write(folder, "forking.py", FORKING)
    return serve


@pytest.fixture
def child() -> Iterator[list[int]]:
    """Numbers of processes that are ended with the test."""
    numbers: list[int] = []
    yield numbers
    for number in numbers:
        os.kill(number, signal.SIGKILL)


@pytest.mark.guarantee("D-11")
def test_a_process_that_a_handler_ends_is_not_the_server(forking: Starter) -> None:
    program = forking("forking:ended", "--port", "0")
    for _ in range(2):
        assert program.post({}, headers=ARRAY).json() == [-signal.SIGTERM]
    assert program.get("/health/ready").status_code == 200
    program.signal().ended()


@pytest.mark.guarantee("D-11")
def test_a_process_that_a_handler_has_left_keeps_neither_the_server_nor_its_port(
    forking: Starter, child: list[int]
) -> None:
    program = forking("forking:left", "--port", "0")
    child += program.post({}, headers=ARRAY).json()
    program.signal().ended()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", program.port)) != 0


def test_what_a_child_logs_is_written_though_no_thread_writes_there(forking: Starter) -> None:
    program = forking("forking:logging_there", "--port", "0")
    assert program.post({}, headers=ARRAY).json() == [0]
    assert program.log.endswith(" WARNING root: from the child\n")
    program.signal().ended(0)
