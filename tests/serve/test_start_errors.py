"""Start errors of a server: one line on standard error, and status 2."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from pybridge import ConfigError, PooledEngine, Server
from pybridge._serve.sockets import Listeners, Place

from support import serving
from support.serving import Starter

HERE = r"/\S+"
MODULE = rf"the module app \({HERE}app.py\)"
SOME = "answer, attached, broken, describe, echo, engine, loading, paced, …"
NONE = "no handler: serve it with"
EXCLUDE = "exclude each other: give one place to listen at"
OR = "or name a handler or a PooledEngine"
NOWHERE = rf"in {HERE} or on Python's path"
WEB = """
    import fastapi

    fast = fastapi.FastAPI()

    async def plain(scope, receive, send):
        pass

    class Flask:
        def __call__(self, environ, start_response):
            return []

    flask = Flask()
"""


@pytest.mark.guarantee("D-02")
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["app"], rf"'app' is not of the form module:attribute; the handlers of app are {SOME}"),
        (["app.py"], rf"'app.py' is not of the form module:attribute; the handlers of app are {SOME}"),
        (["web"], r"'web' is not of the form module:attribute: did you mean web:plain\?"),
        (["./web.py"], r"'./web.py' is not of the form module:attribute: did you mean web:plain\?"),
        (["json"], r"'json' is not of the form module:attribute, and the module json has no handler"),
        (["app:"], rf"'app:' is not of the form module:attribute; the handlers of app are {SOME}"),
        (["nothing"], rf"'nothing' is not of the form module:attribute: cannot import nothing: .* {NOWHERE}"),
        (["a b"], r"'a b' is not of the form module:attribute"),
        (["nothing:echo"], rf"cannot import nothing:echo: there is no module 'nothing' {NOWHERE}"),
        (["app.sub:echo"], rf"cannot import app.sub:echo: there is no module 'app.sub' {NOWHERE}"),
        (["./app:echo"], r"'./app:echo' is not of the form module:attribute: did you mean app:echo\?"),
        (["./sub/app.py:echo"], r"'./sub/app.py:echo' is not of the form .*: did you mean sub.app:echo\?"),
        (["/a/app.py:echo"], r"'/a/app.py:echo' is not of the form .*: did you mean app:echo with --app-dir /a\?"),
        (["../app:echo"], r"'../app:echo' is not of the form .*: did you mean app:echo with --app-dir ..\?"),
        (["a b/c:echo"], r"'a b/c:echo' is not of the form module:attribute"),
        (["app:unlike"], rf"cannot import app:unlike: {MODULE} has no 'unlike'; its handlers are {SOME}"),
        (["app:anser"], rf"cannot import app:anser: {MODULE} has no 'anser': did you mean answer\?"),
        (["json:nothing"], rf"cannot import json:nothing: the module json \({HERE}\) has no 'nothing', and no handler"),
        (["app:number.x"], rf"cannot import app:number.x: a value of type int in {MODULE} has no .*'x'"),
        (["web:fast"], rf"web:fast is an ASGI application \(FastAPI\), {NONE} `uvicorn web:fast`, {OR}"),
        (["app.py:echo"], rf"cannot import app.py:echo: .* module 'app.py' {NOWHERE}: did you mean app:echo\?"),
        (["web:plain"], rf"web:plain is an ASGI application \(plain\), {NONE} `uvicorn web:plain`, {OR}"),
        (["web:flask"], rf"web:flask is a WSGI application \(Flask\), {NONE} `gunicorn web:flask`, {OR}"),
        (["app:number"], r"app:number cannot be served: the handler must be callable, not int"),
        (["app:echo", "--unary"], r"app:echo cannot be served: the handler echo is an async generator function: .*"),
        (["app:engine", "--codec", "json"], r"app:engine is a PooledEngine and has its own settings: .*codec.*"),
        (["app:attached"], r"app:attached cannot be served: an attached engine has no worker that Rust could call"),
        (["app:broken"], rf"the lifespan of echo failed: FileNotFoundError: no weights at all \({HERE}app.py:\d+\)"),
        (["app:echo", "--max-body", "huge"], r"--max-body: 'huge' .*"),
        (["app:echo", "--drain-timeout", "-1"], r"--drain-timeout: must be at least 0 seconds, not '-1'"),
        (["app:echo", "--flow-high-water", "0"], r"--flow-high-water: must be at least 1.*"),
        (["app:echo", "--limits-max-depth", "1000"], r"--limits-max-depth: must be between 1 and 384, not .*"),
        (["app:echo", "--min-gain", "some"], r"--min-gain: 'some' .*"),
        (["app:echo", "--protocol", "soap"], r"--protocol: must be one of 'generic', 'openai', not 'soap'"),
        (["app:echo", "--path", "generate"], r"--path: .*"),
        (["app:echo", "--root-path", "behind"], r"--root-path: must begin with a slash, not \"behind\""),
        (["app:echo", "--root-path", "/é"], r"--root-path: must not hold 'é', as \"/é\" does"),
        (["app:echo", "--root-path", "/a b"], r"--root-path: must not hold ' ', as \"/a b\" does"),
        (["app:echo", "--root-path", "/a?b"], r"--root-path: must not hold '\?', as \"/a\?b\" does"),
        (["app:echo", "--root-path", "/a#b"], r"--root-path: must not hold '#', as \"/a#b\" does"),
        (["app:echo", "--model", "small"], r"--model: are there for OpenAI's interface only"),
        (["app:echo", "--pass-header", "no name"], r"--pass-header: \"no name\" is no name of a header"),
        (["app:echo", "--access-log", "loud"], r"--access-log: must be one of 'off', 'text', 'json', not 'loud'"),
        (["app:echo", "--forwarded-allow-ips", "10.0.0.0/8,here"], r"--forwarded-allow-ips: \"here\" is no .*"),
        (["app:echo", "--api-key-env", "NO_SUCH_KEYS"], r"--api-key-env: NO_SUCH_KEYS is not set, or holds no key"),
        (["app:echo", "--tls-cert", "app.py"], r"--tls-key is needed with --tls-cert"),
        (["app:echo", "--tls-cert", "none.pem", "--tls-key", "app.py"], r"--tls-cert: none.pem: No such file .*"),
        (["app:echo", "--tls-cert", "app.py", "--tls-key", "app.py"], r"--tls-cert: app.py holds no certificate"),
        (["app:echo", "--flow-low-water", "2MiB"], r"--flow-low-water: must be at most --flow-high-water, which is .*"),
        (["app:echo", "--port", "1", "--uds", "s"], rf"--port and --uds {EXCLUDE}"),
        (["app:echo", "--uds", "s", "--fd", "3"], rf"--uds and --fd {EXCLUDE}"),
        (["app:echo", "--port", "70000"], r"--port: must be between 0 and 65535, not 70000"),
        (["app:echo", "--host", "no.such.host.invalid"], r"cannot listen on no.such.host.invalid:8000: .*"),
        (["app:echo", "--host", "192.0.2.1"], r"cannot listen on 192.0.2.1:8000: Cannot assign requested address"),
        (["app:echo", "--uds", "app.py"], r"cannot listen on app.py: there is something else than a socket"),
        (["app:echo", "--uds", "."], r"cannot listen on .: there is something else than a socket"),
        (["app:echo", "--uds", "app.py/s"], r"cannot listen on app.py/s: Not a directory"),
        (["app:echo", "--uds", "no/such/folder"], r"cannot listen on no/such/folder: No such file or directory"),
        (["app:echo", "--fd", "0"], r"cannot listen on descriptor 0: Socket operation on non-socket"),
        (["app:echo", "--fd", "77"], r"cannot listen on descriptor 77: Bad file descriptor"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_the_reason_is_one_line_and_the_status_two(
    serve: Starter, folder: Path, arguments: list[str], line: str
) -> None:
    serving.write(folder, "web.py", WEB)
    somewhere = [] if {"--host", "--port", "--uds", "--fd"} & {*arguments} else ["--port", "0"]
    program = serve(*arguments, *somewhere).ended(2)
    assert re.fullmatch(f"pybridge: {line}\n", program.err.removeprefix("entered\n")), program.err
    assert not program.out


@pytest.mark.guarantee("D-02")
@pytest.mark.parametrize("arguments", [[], ["app:echo", "--frobnicate"], ["app:echo", "--port"]])
def test_an_option_that_cannot_be_read_is_told_by_usage_and_error(serve: Starter, arguments: list[str]) -> None:
    program = serve(*arguments).ended(2)
    assert re.fullmatch(r"usage: pybridge .*\npybridge.*: error: .*\n", program.err), program.err
    assert not program.out


@pytest.mark.guarantee("D-02")
def test_a_port_that_is_taken_is_named(serve: Starter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        program = serve("app:echo", "--port", str(port)).ended(2)
        assert program.err == f"pybridge: cannot listen on 127.0.0.1:{port}: Address already in use\n"


def test_a_socket_that_does_not_listen_is_refused(serve: Starter) -> None:
    with socket.socket() as made:
        number = made.fileno()
        program = serve("app:echo", "--fd", str(number), pass_fds=[number]).ended(2)
        assert (
            program.err == f"pybridge: cannot listen on descriptor {number}: no socket that listens for connections\n"
        )


@pytest.mark.parametrize("source", ["import nowhere", "raise ValueError('a reason\\non two lines')", "1 +"])
def test_what_a_module_does_when_it_is_imported_is_told_with_its_place(
    serve: Starter, folder: Path, source: str
) -> None:
    (folder / "faulty.py").write_text(f"\n{source}\n")
    program = serve("faulty:echo", "--port", "0").ended(2)
    assert re.fullmatch(r"pybridge: cannot import faulty:echo: \w+Error: .* \(\S+:\d+\)\n", program.err), program.err
    debug = serve("faulty:echo", "--port", "0", "--log-level", "debug").ended(2)
    assert "Traceback (most recent call last)" in debug.err
    assert debug.err.endswith(program.err)


def test_settings_from_the_environment_that_cannot_be_are_told(serve: Starter) -> None:
    program = serve("app:echo", "--port", "0", environment={"PYBRIDGE_FLOW_MAX_QUEUE": "many"}).ended(2)
    assert re.fullmatch(
        r"pybridge: cannot import app:echo: .*max_queue: .* \(from PYBRIDGE_FLOW_MAX_QUEUE\).*\n", program.err
    )


def test_an_address_beside_sockets_of_systemd_is_refused(run: Starter) -> None:
    """Whoever names both may believe that the server listens at the one where it does not."""
    command = (
        "import os, sys; os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1');"
        "from pybridge.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    program = run("-c", command, "serve", "app:echo", "--host", "::1", "--port", "1").ended(2)
    expected = "pybridge: --host and --port: the sockets are those that systemd has opened (LISTEN_FDS)\n"
    assert program.err == expected


def test_variables_that_are_meant_to_be_settings_and_are_none_are_told_once(serve: Starter) -> None:
    environment = {
        "PYBRIDGE_FLOW_MAX_CONCURENCY": "4",
        "PYBRIDGE_POOL_COLOUR": "red",
        "PYBRIDGE_LIMITS_MAX_DEPTHS": "one two",
        "PYBRIDGE_OTHER_THINGS": "",
    }
    options = ("--api-key-env", "PYBRIDGE_LIMITS_MAX_DEPTHS", "--port", "0", "--workers", "2")
    program = serve("app:echo", *options, environment=environment)
    assert program.url
    program.signal().ended(0)
    assert program.err == (
        "pybridge: PYBRIDGE_FLOW_MAX_CONCURENCY has no effect: did you mean PYBRIDGE_FLOW_MAX_CONCURRENCY?\n"
        "pybridge: PYBRIDGE_POOL_COLOUR has no effect: there is no such setting\n"
    )


def test_a_wrong_command_line_is_status_two_with_the_usage(serve: Starter) -> None:
    for arguments in ([], ["app:echo", "--fly"], ["app:echo", "--workers", "0"], ["app:echo", "--port", "http"]):
        program = serve(*arguments).ended(2)
        assert program.err.startswith("usage: pybridge")


@pytest.mark.parametrize(
    ("option", "reason"),
    [("--workers", "must be a whole number, not 'abc'"), ("--port", "must be a whole number, not 'abc'"),
     ("--fd", "must be a whole number, not 'abc'")],
)  # fmt: skip
def test_a_number_that_is_none_is_told_in_words(serve: Starter, option: str, reason: str) -> None:
    program = serve("app:echo", option, "abc").ended(2)
    assert program.err.endswith(f"error: argument {option}: {reason}\n")


@pytest.mark.parametrize("number", ["0", "99999"])
def test_the_number_of_processes_is_one_that_a_machine_can_start(serve: Starter, number: str) -> None:
    program = serve("app:echo", "--workers", number).ended(2)
    assert re.search(rf"argument --workers: must be from 1 to \d+ on this machine, not {number}\n$", program.err), (
        program.err
    )


def test_an_option_that_does_not_exist_is_told_with_the_one_that_is_meant(serve: Starter) -> None:
    program = serve("app:echo", "--worker", "2").ended(2)
    assert program.err.startswith("usage: pybridge serve ")
    assert program.err.endswith("error: unrecognized arguments: --worker 2: did you mean --workers?\n")


def test_a_path_that_another_server_took_while_this_one_was_starting_is_told(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    first, second = (Listeners.of(Place("", 0, path, None), tls=False) for _ in range(2))
    with contextlib.closing(first), contextlib.closing(second):
        second.listen()
        with pytest.raises(OSError, match=f"cannot listen on {path}: Address already in use"):
            first.listen()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--host="], "--host: must be a name or an address, not ''; 0.0.0.0 and :: are all addresses"),
        (["--host", "a..b"], "--host: must be a name or an address, not 'a..b'"),
        (["--uds="], "--uds: must be a path, not ''"),
        (["--fd", "9" * 20], f"--fd: must be the number of a descriptor, not {'9' * 20}"),
    ],
)
def test_a_place_to_listen_at_that_cannot_be_is_told(serve: Starter, arguments: list[str], reason: str) -> None:
    assert serve("app:echo", *arguments).ended(2).err == f"pybridge: {reason}\n"


async def echo(request: Any) -> AsyncGenerator[Any, None]:
    yield request


@pytest.mark.parametrize(
    ("place", "named"),
    [
        ({"host": 5}, "host"),
        ({"host": ""}, "host"),
        ({"host": "a\0b"}, "host"),
        ({"port": "80"}, "port"),
        ({"port": 2**64}, "port"),
        ({"host": "x" * 70 + ".example"}, "host"),
        ({"uds": b"socket"}, "uds"),
        ({"uds": "a\0b"}, "uds"),
        ({"fd": "3"}, "fd"),
        ({"fd": True}, "fd"),
        ({"fd": -1}, "fd"),
        ({"uds": "socket", "fd": 3}, "fd"),
        ({"host": "127.0.0.1", "uds": "socket"}, "uds"),
        ({"port": 0, "fd": 3}, "fd"),
        ({"host": "127.0.0.1", "port": 0, "uds": "socket"}, "uds"),
    ],
)
def test_a_server_names_the_place_that_cannot_be_and_takes_no_second_one(place: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Server(PooledEngine(echo), **place)
    assert caught.value.field == named
    if len(place) > 1:
        assert caught.value.reason == f"excludes {next(iter(place))}: give one place to listen at"
