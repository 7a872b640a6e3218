"""Ends of a serving process by signals, whatever its handlers do."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from support import serving
from support.serving import Program, Starter
from support.waiting import wait_until
from support.wire import head

FOREVER = {"count": 0, "each": 0.01}
ALONE = ("--port", "0", "--drain-timeout", "0", "--flow-cancel-grace", "0.1")


def stream(program: Program, request: object) -> tuple[int, int, bool]:
    """The status of a streamed answer, its items, and whether it came whole."""
    items = 0
    with httpx.stream("POST", f"{program.url}/generate", json=request, timeout=30, trust_env=False) as answer:
        try:
            for line in answer.iter_lines():
                items += "n" in json.loads(line)
        except httpx.RemoteProtocolError:
            return answer.status_code, items, False
    return answer.status_code, items, True


def begun(program: Program, number: int) -> None:
    """Waits until so many handlers have started."""
    started = f'pybridge_streams_started_total{{engine="paced"}} {number}'
    wait_until(lambda: started in program.get("/metrics").text, lambda: program.get("/metrics").text)


def hold(program: Program) -> None:
    """Calls a handler that lets nobody else have the interpreter, and waits until it does."""
    body = b"{}"
    with socket.create_connection(("127.0.0.1", program.port)) as client:
        client.sendall(head("POST", "/generate", {"Content-Length": str(len(body))}) + body)
        program.said("stuck\n")


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads for clients."""
    with ThreadPoolExecutor(30) as threads:
        yield threads


@pytest.mark.guarantee("D-05")
def test_live_calls_finish_within_the_time_to_drain_and_the_rest_is_cancelled(
    serve: Starter, pool: ThreadPoolExecutor
) -> None:
    program = serve("app:paced", "--port", "0", "--drain-timeout", "1.5")
    finite = [pool.submit(stream, program, {"count": 20, "each": 0.02}) for _ in range(20)]
    infinite = [pool.submit(stream, program, FOREVER) for _ in range(3)]
    begun(program, 23)
    start = time.monotonic()
    program.signal()
    wait_until(lambda: program.get("/health/ready").status_code == 503, "readiness says so")
    assert program.post({"count": 1, "each": 0}).json()["error"]["code"] == "draining"
    assert program.get("/health/live").status_code == 200
    assert [call.result() for call in finite] == [(200, 20, True)] * 20
    assert [call.result()[::2] for call in infinite] == [(200, False)] * 3
    program.ended(0)
    assert 1.4 < time.monotonic() - start < 8
    assert program.err.count("cancelled: shutdown") == 3


@pytest.mark.guarantee("D-06")
def test_calls_are_taken_while_load_balancers_notice(serve: Starter, pool: ThreadPoolExecutor) -> None:
    program = serve("app:paced", "--port", "0", "--drain-settle", "3600")
    assert program.url
    program.signal()
    wait_until(lambda: program.get("/health/ready").status_code == 503, "readiness says so")
    assert program.post({"count": 2, "each": 0}).status_code == 200
    program.signal().ended(143)


@pytest.mark.guarantee("D-07")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_second_signal_ends_it_at_once(
    serve: Starter, pool: ThreadPoolExecutor, number: signal.Signals, status: int
) -> None:
    program = serve("app:paced", "--port", "0", "--access-log", "text")
    call = pool.submit(stream, program, FOREVER)
    begun(program, 1)
    program.signal(number)
    wait_until(lambda: program.get("/health/ready").status_code == 503, "it drains")
    program.signal(number).ended(status)
    assert call.result()[::2] == (200, False)
    assert "cancelled" not in program.log
    assert "/generate" not in program.log
    process = program.process.pid
    assert program.err == f"pybridge: process {process} ends at once: {number.name} while it was stopping\n"


def test_a_hangup_without_workers_ends_it_at_once_with_a_line(serve: Starter) -> None:
    program = serve("app:echo", "--port", "0")
    assert program.url
    program.signal(signal.SIGHUP).ended(129)
    why = "SIGHUP, which replaces processes with --workers only"
    assert program.err == f"pybridge: process {program.process.pid} ends at once: {why}\n"


def test_a_hangup_that_was_to_be_ignored_is(serve: Starter) -> None:
    program = serve("app:echo", "--port", "0", preexec_fn=ignore_hangup)
    assert program.url
    program.signal(signal.SIGHUP)
    assert program.post(5).text == "5\n"
    program.signal().ended(0)
    assert not program.err


def ignore_hangup() -> None:
    """What nohup does."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def test_clients_that_take_nothing_are_reset_when_a_second_signal_ends_it(serve: Starter, folder: Path) -> None:
    serving.write(folder, "flood.py", "async def flood(request):\n    while True:\n        yield 'x' * 100_000\n")
    program = serve("flood:flood", "--port", "0")
    with socket.create_connection(("127.0.0.1", program.port)) as client, select.epoll() as ends:
        client.sendall(head("POST", "/generate", {"Content-Length": "1"}) + b"1")
        ends.register(client, 0)  # of a reset the kernel always tells
        started = 'pybridge_streams_started_total{engine="flood"} 1'
        wait_until(lambda: started in program.get("/metrics").text, lambda: program.get("/metrics").text)
        wait_until(lambda: not moves(program), "nothing more goes to the client")
        program.signal()
        wait_until(lambda: program.get("/health/ready").status_code == 503, "it drains")
        program.signal().ended(143)
        assert ends.poll(10) == [(client.fileno(), select.EPOLLHUP | select.EPOLLERR)]


def moves(program: Program) -> bool:
    """Whether the handler gives items."""
    before, after = (re.findall(r"pybridge_frames\S* (\d+)", program.get("/metrics").text) for _ in range(2))
    return before != after


@pytest.mark.guarantee("D-05")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_signal_ends_it_with_status_zero(serve: Starter, number: signal.Signals) -> None:
    program = serve("app:echo", "--port", "0", "--log-level", "warning")
    assert program.url
    program.signal(number).ended(0)
    assert not program.err


@pytest.mark.guarantee("D-05")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_while_it_starts_ends_it(serve: Starter, number: signal.Signals, status: int) -> None:
    program = serve("app:loading", "--port", "0").said("loading")
    program.signal(number).ended(status)
    assert program.err == "loading\n"
    assert not program.out


@pytest.mark.guarantee("D-08", "D-09")
def test_a_process_whose_interpreter_is_held_is_alive_drains_and_ends_by_its_deadline(serve: Starter) -> None:
    """The drain takes 1 s, the grace 0.5 s, and a second is added."""
    program = serve("app:stuck", "--port", "0", "--drain-timeout", "1", "--flow-cancel-grace", "0.5")
    hold(program)
    wait_until(lambda: program.get("/health/live").json()["loop_stalled_ms"] > 100, "liveness tells how long")
    start = time.monotonic()
    program.signal()
    wait_until(lambda: program.get("/health/ready").status_code == 503, "readiness says so")
    program.ended(3)
    assert abs(time.monotonic() - start - 2.5) < 0.5
    assert "something still holds Python's interpreter, or a thread of it goes on" in program.err


@pytest.mark.guarantee("D-07")
def test_a_second_signal_ends_a_process_whose_interpreter_is_held(serve: Starter) -> None:
    program = serve("app:stuck", "--port", "0")
    hold(program)
    program.signal()
    wait_until(lambda: program.get("/health/ready").status_code == 503, "it drains")
    program.signal().ended(143)
    assert "ends at once: SIGTERM while it was stopping" in program.err


@pytest.mark.guarantee("D-10")
def test_as_the_first_process_of_a_container_it_ends_by_a_signal(run: Starter) -> None:
    """The kernel gives the first process no signal for which it has no handler."""
    if subprocess.run(["unshare", "--fork", "--pid", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine makes no namespaces of processes")
    program = run("-c", FIRST_PROCESS)
    assert program.url
    children = Path(f"/proc/{program.process.pid}/task/{program.process.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGTERM)
    program.ended(0)


FIRST_PROCESS = """
import os, sys
serve = [sys.executable, "-m", "pybridge", "serve", "app:echo", "--port", "0"]
os.execvp("unshare", ["unshare", "--fork", "--pid", *serve])
"""


@pytest.mark.guarantee("D-09")
def test_a_thread_that_does_not_end_does_not_keep_the_process(serve: Starter, folder: Path) -> None:
    source = "import asyncio, time\nasync def handler(request):\n    yield await asyncio.to_thread(time.sleep, 60)\n"
    (folder / "threads.py").write_text(source)
    program = serve("threads:handler", "--port", "0", "--drain-timeout", "0", "--flow-cancel-grace", "0.1")
    with socket.create_connection(("127.0.0.1", program.port)) as client:
        client.sendall(head("POST", "/generate", {"Content-Length": "2"}) + b"{}")
        started = 'pybridge_streams_started_total{engine="handler"} 1'
        wait_until(lambda: started in program.get("/metrics").text, lambda: program.get("/metrics").text)
        program.signal().ended(3)
    assert "a thread of it goes on; the process ends with status 3" in program.err


BLOCKING = """
    import sys, time

    async def handler(request):
        print("blocked", file=sys.stderr, flush=True)
        yield time.sleep(60)
"""


@pytest.mark.parametrize("workers", [(), ("--workers", "1")], ids=["alone", "workers"])
def test_a_handler_that_blocks_its_event_loop_makes_the_end_a_forced_one(
    serve: Starter, folder: Path, workers: tuple[str, ...]
) -> None:
    serving.write(folder, "blocking.py", BLOCKING)
    program = serve("blocking:handler", *ALONE, *workers)
    with socket.create_connection(("127.0.0.1", program.port)) as client:
        client.sendall(head("POST", "/generate", {"Content-Length": "2"}) + b"{}")
        program.said("blocked").signal().ended(3)
    assert "ERROR" in program.log
    assert "drained: 0 finished, 1 cut off, and a handler did not end when it was told to" in program.log


def test_the_log_says_when_draining_begins_and_what_became_of_the_requests(
    serve: Starter, pool: ThreadPoolExecutor
) -> None:
    idle, cut = serve("app:paced", *ALONE), serve("app:paced", *ALONE, "--drain-timeout", "0.1")
    whole = serve("app:paced", "--port", "0", "--workers", "1", "--drain-settle", "0.1")
    call, finite = pool.submit(stream, cut, FOREVER), pool.submit(stream, whole, {"count": 30, "each": 0.02})
    for program in (cut, whole):
        begun(program, 1)
    assert idle.url
    for program in (idle, cut, whole):
        program.signal()
    for program in (idle, cut, whole):
        program.ended(0)
    assert call.result()[::2] == (200, False)
    assert finite.result() == (200, 30, True)
    told = r"(\w+)(?: \[\d+\])? pybridge\.server: (dra.*)"
    messages = [re.findall(told, program.log) for program in (idle, cut, whole)]
    assert messages == [
        [("INFO", "draining: no request is running, time to end: 0 s"), ("INFO", "drained: all requests have ended")],
        [("INFO", "draining: 1 request is running, time to end: 0.1 s"), ("WARNING", "drained: 0 finished, 1 cut off")],
        [
            ("INFO", "draining in 0.1 s: 1 request is running, time to end after that: 30 s"),
            ("INFO", "drained: all requests have ended"),
        ],
    ]
