"""`--workers`: several processes on one socket, replaced, watched, and ended together."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
from pathlib import Path

import httpx
import pytest

from support import serving
from support.serving import Program, Starter, children, is_alive
from support.waiting import wait_until

TWO = ("--port", "0", "--workers", "2")

REPLACING = "pybridge: the processes are being replaced, one after the other\n"
REPLACED = "pybridge: all processes have been replaced\n"


def answering(program: Program) -> int:
    """The process that answers now, over a connection of its own."""
    return int(program.post({}, headers={"Accept": "application/json"}).json()[0]["pid"])


@pytest.mark.guarantee("D-01")
def test_processes_share_the_socket_and_one_line_says_when_all_are_ready(serve: Starter) -> None:
    program = serve("app:describe", *TWO)
    assert program.url
    pids = children(program)
    assert len(pids) == 2
    wait_until(lambda: answering(program) in pids, "one of them answers")
    program.signal().ended(0)
    assert program.out == f"pybridge: serving on {program.url}\n"
    assert not program.err
    assert not any(is_alive(pid) for pid in pids)


@pytest.mark.guarantee("D-25")
def test_a_process_that_dies_is_replaced(serve: Starter) -> None:
    program = serve("app:describe", *TWO)
    assert program.url
    first = children(program)
    os.kill(victim := min(first), signal.SIGKILL)
    program.said(f"pybridge: process {victim} has been ended by SIGKILL; another one starts in 0.1 s")
    wait_until(lambda: len(children(program)) == 2, "there are two again")
    assert victim not in children(program)
    assert answering(program)
    program.signal().ended(0)


def test_all_lines_are_json_beside_an_access_log_in_json(serve: Starter, folder: Path) -> None:
    program = serve("app:describe", *TWO, "--access-log", "json")
    assert program.url
    os.kill(victim := min(children(program)), signal.SIGKILL)
    program.said("another one starts")
    wait_until(lambda: len(children(program)) == 2, "there are two again")
    program.signal(signal.SIGHUP).said("all processes have been replaced")
    program.signal().ended(0)
    lines = [json.loads(line) for line in program.log.splitlines()]
    told = {line["message"]: line["level"] for line in lines if line["logger"] == "pybridge.server"}
    assert told[f"process {victim} has been ended by SIGKILL; another one starts in 0.1 s"] == "warning"
    assert told["all processes have been replaced"] == told["describe streams items"] == "info"
    broken = serve("app:broken", *TWO, "--access-log", "json").ended(2)
    assert json.loads(broken.log)["message"].startswith("the lifespan of echo failed")


@pytest.mark.guarantee("D-27")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_are_passed_on_and_a_second_one_ends_all_at_once(serve: Starter, number: signal.Signals) -> None:
    program = serve("app:paced", *TWO)
    with httpx.stream("POST", f"{program.url}/generate", json={"count": 0, "each": 0.01}, trust_env=False) as answer:
        pieces = answer.iter_bytes()
        assert next(pieces)
        pids = children(program)
        program.signal(number)
        wait_until(lambda: len(children(program)) == 1, "the idle one has ended")
        program.signal(number).ended(128 + number)
    assert not any(is_alive(pid) for pid in pids)


@pytest.mark.guarantee("D-27")
def test_live_calls_finish_when_all_are_told_to_stop(serve: Starter) -> None:
    program = serve("app:paced", *TWO)
    with httpx.stream("POST", f"{program.url}/generate", json={"count": 30, "each": 0.02}, trust_env=False) as answer:
        pieces = answer.iter_bytes()
        text = next(pieces)
        program.signal()
        text += b"".join(pieces)
    assert text.count(b"\n") == 30
    program.ended(0)


@pytest.mark.guarantee("D-26")
def test_a_hangup_replaces_the_processes_one_after_the_other(serve: Starter) -> None:
    program = serve("app:describe", *TWO)
    assert program.url
    first = children(program)
    program.signal(signal.SIGHUP)
    most = 0

    def replaced() -> bool:
        nonlocal most
        now = children(program)
        most = max(most, len(now))
        assert answering(program)
        return not first & now and len(now) == 2

    wait_until(replaced, lambda: f"{children(program)} instead of {first}: {program.err}")
    assert most == 3
    program.said(REPLACED)
    assert program.err == REPLACING + REPLACED
    program.signal().ended(0)


@pytest.mark.guarantee("D-26")
def test_code_that_cannot_start_replaces_nothing(serve: Starter, folder: Path) -> None:
    program = serve("app:describe", *TWO)
    assert program.url
    first = children(program)
    (folder / "app.py").write_text("1 +\n")
    program.signal(signal.SIGHUP)
    program.said("the processes that run are not replaced")
    assert children(program) == first
    assert answering(program) in first
    program.signal().ended(0)


@pytest.mark.guarantee("D-02")
def test_what_keeps_a_process_from_starting_ends_all_with_one_line(serve: Starter) -> None:
    program = serve("app:broken", *TWO).ended(2)
    assert re.fullmatch(r"pybridge: the lifespan of echo failed: FileNotFoundError: .*\n", program.err), program.err
    assert not program.out


def test_a_process_that_dies_while_it_starts_ends_all(serve: Starter, folder: Path) -> None:
    (folder / "dying.py").write_text("import os\nos._exit(7)\n")
    program = serve("dying:echo", *TWO).ended(2)
    assert program.err == "pybridge: a process has ended with status 7\n"


def test_processes_that_cannot_start_any_more_end_all_after_some_tries(serve: Starter, folder: Path) -> None:
    program = serve("app:describe", *TWO)
    assert program.url
    (folder / "app.py").write_text("import os\nos._exit(7)\n")
    os.kill(min(children(program)), signal.SIGKILL)
    program.ended(2)
    assert program.err.endswith("pybridge: a process has ended with status 7; this was the 5th in a row\n")


@pytest.mark.guarantee("D-28")
def test_processes_end_when_their_supervisor_is_killed(serve: Starter) -> None:
    program = serve("app:echo", *TWO)
    assert program.url
    pids = children(program)
    arguments = Path(f"/proc/{min(pids)}/cmdline").read_text().split("\0")
    shared = Path(arguments[arguments.index("--child") + 1].split(":", 3)[3])
    assert {int(path.name.partition("-")[0]) for path in shared.glob("*.sock")} == pids
    program.signal(signal.SIGKILL).ended(-signal.SIGKILL)
    wait_until(lambda: not any(is_alive(pid) for pid in pids), "they have ended")
    assert not shared.exists()
    with pytest.raises(httpx.ConnectError):
        program.post(1)


def test_a_signal_while_they_start_ends_all(serve: Starter) -> None:
    program = serve("app:loading", *TWO)
    wait_until(lambda: program.err.count("loading") == 2, lambda: program.err)
    program.signal().ended(143)
    assert not program.out


HANGING = """
    import ctypes, signal, sys

    held = ctypes.create_string_buffer(64)

    def hang(*_):
        print("told", file=sys.stderr, flush=True)
        for _ in range(2):
            ctypes.PyDLL(None).pthread_mutex_lock(held)

    signal.signal(signal.SIGTERM, hang)
    print("hangs", file=sys.stderr, flush=True)
    while True:
        ctypes.PyDLL(None).usleep(1_000)  # a signal that comes just before a longer one would wait for its end
"""


def test_processes_that_hang_while_they_start_are_killed(serve: Starter, folder: Path) -> None:
    serving.write(folder, "hanging.py", HANGING)
    program = serve("hanging:echo", *TWO)
    wait_until(lambda: program.err.count("hangs") == 2, lambda: program.err)
    program.signal()
    wait_until(lambda: program.err.count("told") == 2, lambda: program.err)
    program.signal(signal.SIGINT).ended(130)


@pytest.mark.guarantee("D-29")
def test_each_process_tells_the_metrics_of_all(serve: Starter) -> None:
    program = serve("app:describe", *TWO)
    seen: set[int] = set()
    asked = 0

    def both_answered() -> bool:
        nonlocal asked
        asked += 1
        seen.add(answering(program))
        return len(seen) == 2

    wait_until(both_answered, lambda: f"{seen}")
    total = f'http_requests_total{{method="POST",status="200",handler="describe"}} {asked}'
    wait_until(lambda: total in program.get("/metrics").text, lambda: f"{total} in:\n{program.get('/metrics').text}")
    os.kill(min(seen), signal.SIGKILL)
    program.said("another one starts")
    assert "http_requests_total" in program.get("/metrics").text


@pytest.mark.guarantee("D-29")
def test_what_processes_have_counted_that_are_replaced_stays(serve: Starter) -> None:
    """A counter that falls is taken for one that begins anew, and what is left of it for new calls."""
    program = serve("app:describe", *TWO)
    for _ in range(10):
        answering(program)
    total = 'http_requests_total{method="POST",status="200",handler="describe"} 10\n'
    duration = 'http_request_duration_seconds_count{method="POST",handler="describe"} 10\n'
    wait_until(lambda: total in program.get("/metrics").text, lambda: program.get("/metrics").text)
    for number in (1, 2):
        program.signal(signal.SIGHUP)
        reloaded = False
        while not reloaded:  # at any moment
            reloaded = program.err.count(REPLACED) == number
            text = program.get("/metrics").text
            assert total in text, text
    assert duration in text, text
    program.signal().ended(0)


COUNTED = 'http_requests_total{method="POST",status="200",handler="describe"} '


def counted(page: str) -> int:
    """The requests that this page of metrics tells of."""
    return int(page.partition(COUNTED)[2].partition("\n")[0] or 0)


def asked(program: Program) -> dict[int, httpx.Client]:
    """Connections of which each is kept to another process of two, by which each was asked for the metrics of all."""
    clients: dict[int, httpx.Client] = {}
    while len(clients) < 2:
        client = httpx.Client(base_url=program.url, timeout=20, trust_env=False, verify=False)
        pid = client.post("/generate", json={}, headers={"Accept": "application/json"}).json()[0]["pid"]
        if clients.setdefault(pid, client) is not client:
            client.close()
    for client in clients.values():
        client.get("/metrics")
    return clients


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_what_a_process_has_counted_that_does_not_answer_stays(serve: Starter, number: signal.Signals) -> None:
    program = serve("app:describe", *TWO)
    clients = asked(program)
    asker, silent = clients
    before = counted(clients[asker].get("/metrics").text)
    os.kill(silent, number)
    if number == signal.SIGKILL:
        program.said("another one starts")
    assert counted(clients[asker].get("/metrics").text) == before >= 2
    if number == signal.SIGKILL:
        wait_until(lambda: len(children(program)) == 2, "there are two again")
        assert counted(clients[asker].get("/metrics").text) == before
    else:
        os.kill(silent, signal.SIGCONT)
    for client in clients.values():
        client.close()
    program.signal().ended(0)


@pytest.mark.guarantee("D-29")
def test_what_killed_processes_have_counted_stays_and_their_files_do_not(serve: Starter) -> None:
    program = serve("app:describe", *TWO)
    assert program.url
    arguments = Path(f"/proc/{min(children(program))}/cmdline").read_text().split("\0")
    shared = Path(arguments[arguments.index("--child") + 1].split(":", 3)[3])
    before = 0
    for _ in range(3):
        clients = asked(program)
        asker, victim = clients
        told = counted(clients[asker].get("/metrics").text)
        assert told > before
        os.kill(victim, signal.SIGKILL)
        program.said(f"process {victim} has been ended by SIGKILL")
        before = counted(clients[asker].get("/metrics").text)
        assert before == told
        for client in clients.values():
            client.close()
        wait_until(lambda: len(children(program)) == 2, "there are two again")
    assert {int(path.name.partition("-")[0]) for path in shared.glob("*.page")} <= children(program)
    program.signal().ended(0)


def test_a_process_without_files_fails_the_page_of_metrics_or_tells_all(serve: Starter) -> None:
    """A sum without the others would be taken for counters that begin anew."""
    program = serve("app:describe", *TWO)
    clients = asked(program)
    asker, poor = clients
    before = counted(clients[asker].get("/metrics").text)
    _, hard = resource.prlimit(poor, resource.RLIMIT_NOFILE)
    resource.prlimit(poor, resource.RLIMIT_NOFILE, (1, hard))
    assert counted(clients[asker].get("/metrics").text) == before >= 2
    assert clients[poor].get("/metrics").status_code == 503
    program.said("pybridge: the metrics of all processes cannot be read: ")
    resource.prlimit(poor, resource.RLIMIT_NOFILE, (hard, hard))
    assert counted(clients[poor].get("/metrics").text) == before
    for client in clients.values():
        client.close()
    program.signal().ended(0)
