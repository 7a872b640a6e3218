"""Modules and lifespans that end the program, and signals that come before the server is ready."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

import pytest

import pybridge
from pybridge import HandlerExit, PooledEngine, Server

from support import serving
from support.serving import Starter, children
from support.waiting import wait_until

WORKERS = ((), ("--workers", "1"))
RAISED = {
    "SystemExit(0)": "SystemExit: 0",
    "SystemExit('no key')": "SystemExit: no key",
    "KeyboardInterrupt": "KeyboardInterrupt",
    "Stop('enough')": r"exits\.Stop: enough",
}

EXITS = """
    import contextlib, os
    from pybridge import PooledEngine

    class Stop(BaseException):
        pass

    async def echo(request):
        yield request

    @contextlib.asynccontextmanager
    async def lifespan():
        raise {raised}
        yield

    engine = PooledEngine(echo, lifespan=lifespan)
    if os.environ["WHEN"] == "import":
        raise {raised}
"""


@pytest.mark.parametrize("workers", WORKERS, ids=["alone", "workers"])
@pytest.mark.parametrize("raised", RAISED)
def test_what_is_no_exception_is_told_in_one_line_with_status_two(
    serve: Starter, folder: Path, raised: str, workers: tuple[str, ...]
) -> None:
    serving.write(folder, "exits.py", EXITS.format(raised=raised))
    whens = {"import": "cannot import exits:engine", "lifespan": "the lifespan of echo failed"}
    started = {
        whats: serve("exits:engine", "--port", "0", *workers, environment={"WHEN": when})
        for when, whats in whens.items()
    }
    for what, program in started.items():
        program.ended(2)
        line = rf"pybridge: {what}: {RAISED[raised]}:? \(\S+exits\.py:\d+\)\n"
        assert re.fullmatch(line, program.log), program.log
        assert not program.out


class StopError(BaseException):
    """What no program catches."""


FAILURES = [SystemExit(1), KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit(), StopError()]


def failing(failure: BaseException) -> PooledEngine:
    """An engine whose lifespan raises that."""

    class Failing(AsyncExitStack):
        async def __aenter__(self) -> Self:
            raise failure

    async def echo(request: Any) -> Any:
        yield request

    return PooledEngine(echo, lifespan=Failing)


def serve_it(engine: PooledEngine) -> None:
    pybridge.serve(engine, port=0)


def open_it(engine: PooledEngine) -> None:
    asyncio.run(Server(engine).__aenter__())


@pytest.mark.parametrize("begin", [serve_it, open_it])
@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
def test_a_lifespan_ends_no_program_that_serves(begin: Callable[[PooledEngine], None], failure: BaseException) -> None:
    with pytest.raises(HandlerExit) as caught:
        begin(failing(failure))
    assert caught.value.__cause__ is failure


CATCHING = """
    import sys, time
    print("importing", file=sys.stderr, flush=True)
    try:
        time.sleep(60)
    except BaseException:
        {then}

    async def echo(request):
        yield request
"""


@pytest.mark.parametrize("then", ["pass", "raise ValueError('not imported')"])
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_that_a_module_catches_ends_the_process_all_the_same(
    serve: Starter, folder: Path, then: str, number: signal.Signals, status: int
) -> None:
    serving.write(folder, "catching.py", CATCHING.format(then=then))
    program = serve("catching:echo", "--port", "0").said("importing").signal(number).ended(status)
    assert program.log == "importing\n"
    assert not program.out


AT_THE_BIND = """
import os, signal, sys
from pybridge.cli import main

def hook(event, arguments):
    if event == "socket.bind" and not sent:
        sent.append(True)
        signal.raise_signal(signal.SIGHUP)

sent = []
sys.addaudithook(hook)
sys.exit(main(sys.argv[1:]))
"""


def test_a_hangup_before_any_process_was_started_ends_nothing(run: Starter) -> None:
    program = run("-c", AT_THE_BIND, "serve", "app:echo", "--port", "0", "--workers", "1")
    assert program.url
    assert len(children(program)) == 1
    program.signal().ended(0)
    assert not program.err


AT_THE_START = """
import signal, sys
from pybridge.cli import main

def hook(event, arguments):
    if event == "open":
        signal.raise_signal(signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.addaudithook(hook)
sys.exit(main(["doctor"]))
"""


def test_an_interrupt_ends_any_command_without_a_traceback(run: Starter) -> None:
    program = run("-c", AT_THE_START).ended(130)
    assert not program.log


def test_a_process_that_cannot_start_is_not_started_again(serve: Starter, folder: Path) -> None:
    source = "open('started', 'a').write('.')\nraise SystemExit(1)\n"
    (folder / "counted.py").write_text(source)
    serve("counted:echo", "--port", "0", "--workers", "1").ended(2)
    assert (folder / "started").read_text() == "."


LEAVING = """
    import contextlib
    from pybridge import PooledEngine

    async def echo(request):
        yield request

    @contextlib.asynccontextmanager
    async def lifespan():
        yield
        raise SystemExit("at the end")

    engine = PooledEngine(echo, lifespan=lifespan)
"""


def test_a_lifespan_that_exits_when_it_is_left_is_logged_once(serve: Starter, folder: Path) -> None:
    serving.write(folder, "leaving.py", LEAVING)
    program = serve("leaving:engine", "--port", "0")
    assert program.url
    program.signal().ended(0)
    wait_until(lambda: "at the end" in program.log, lambda: program.log)
    assert program.log.count("SystemExit: at the end") == 1
    assert "ERROR pybridge.engine: engine echo: leaving its lifespan failed" in program.log
