"""Rules of the supervisor of several processes, whatever they do and whenever it is told something."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
from pathlib import Path

import pytest

from support.serving import Program, Starter, children, is_alive
from support.waiting import wait_until

ALONE = ("--port", "0", "--drain-timeout", "0", "--flow-cancel-grace", "0.01")
QUICK = (*ALONE, "--workers", "2")

REPLACING = "pybridge: the processes are being replaced, one after the other\n"
REPLACED = "pybridge: all processes have been replaced\n"


def stopped(program: Program) -> int:
    """One of its processes, which does nothing any more."""
    assert program.url
    os.kill(victim := min(children(program)), signal.SIGSTOP)
    return victim


def test_a_process_that_is_stopped_keeps_neither_a_reload_nor_the_end_up(serve: Starter) -> None:
    reloading, ending = serve("app:echo", *QUICK), serve("app:echo", *QUICK)
    victims = [stopped(reloading), stopped(ending)]
    reloading.signal(signal.SIGHUP)
    ending.signal()
    killed = "pybridge: process {} has not ended in time: it is killed\n"
    ending.ended(3)
    assert ending.err == killed.format(victims[1])
    reloading.said(REPLACED)
    assert reloading.err == REPLACING + killed.format(victims[0]) + REPLACED
    assert not any(map(is_alive, victims))
    reloading.signal().ended(0)


@pytest.mark.guarantee("D-26")
def test_a_hangup_during_a_reload_is_said_and_followed_by_another_reload(serve: Starter) -> None:
    program = serve("app:echo", *QUICK)
    assert program.url
    program.signal(signal.SIGHUP).said(REPLACING)
    for _ in range(3):
        program.signal(signal.SIGHUP)
    again = "pybridge: SIGHUP while processes are being started: all are replaced after that\n"
    program.said(again)
    wait_until(lambda: program.err.count(REPLACED) == 2, lambda: program.err)
    assert program.err == REPLACING + again + REPLACED + REPLACING + REPLACED
    program.signal().ended(0)


@pytest.mark.guarantee("D-27")
@pytest.mark.parametrize("workers", [(), ("--workers", "1"), ("--workers", "2")], ids=["alone", "1", "2"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_that_follow_each_other_at_once_end_all_with_a_documented_status(
    serve: Starter, number: signal.Signals, workers: tuple[str, ...]
) -> None:
    program = serve("app:echo", "--log-level", "warning", *ALONE, *workers)
    assert program.url
    pids = children(program)
    while program.process.poll() is None:
        program.signal(number)
    assert program.process.returncode in {0, 128 + number}, program.err
    assert not any(map(is_alive, pids))
    # They have a second after the second signal, which a machine that is busy may need for more.
    late, told = "has not ended in time: it is killed", f"ends at once: {number.name} while it was stopping"
    assert re.fullmatch(rf"(pybridge: process \d+ ({late}|{told})\n)*", program.err), program.err


def _socket_file(folder: Path) -> Path:
    path = folder / "socket"
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))
    return path


def test_what_killed_processes_have_left_is_removed_at_the_next_start_and_nothing_else(
    serve: Starter, tmp_path: Path
) -> None:
    (shared := tmp_path / ("shared" * 20)).mkdir()  # longer than the path of a socket may be
    environment = {"TMPDIR": str(shared)}
    live, killed = (serve("app:echo", *QUICK, environment=environment) for _ in range(2))
    assert live.url
    assert killed.url
    for pid in [killed.process.pid, *children(killed)]:
        os.kill(pid, signal.SIGKILL)
    killed.ended(-signal.SIGKILL)
    names = ("notes", "pybridge-workers-notes", "pybridge-workers-kept", "pybridge-workers-socket", "pybridge-run")
    foreign = [shared / name for name in names]
    for path in foreign[2:]:
        path.mkdir()
    for path in (*foreign[:2], foreign[2] / "file"):
        path.write_text("")
    shutil.move(_socket_file(tmp_path), foreign[3] / "1-2.sock")
    assert len(list(shared.iterdir())) == 7
    following = serve("app:echo", *QUICK, environment=environment)
    assert following.url
    left = {*shared.iterdir()} - {*foreign}
    assert len(left) == 2
    assert sorted(len([*path.iterdir()]) for path in left) == [3, 3]
    for program in (live, following):
        program.signal().ended(0)
    assert {*shared.iterdir()} == {*foreign}


@pytest.mark.guarantee("D-28")
def test_processes_that_are_starting_end_with_a_supervisor_that_is_killed(serve: Starter) -> None:
    program = serve("app:loading", "--port", "0", "--workers", "2")
    wait_until(lambda: program.err.count("loading") == 2, lambda: program.err)
    pids = children(program)
    program.signal(signal.SIGKILL).ended(-signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, pids)), "they have ended")
