"""`Server` in programs with an event loop, and `serve` as the whole program."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

import pybridge
from pybridge import ConfigError, PooledEngine, PublicError, Server

from support import serving
from support.fronts import free_port
from support.logs import reports
from support.serving import Starter
from support.waiting import turns, until, wait_until


async def echo(request: Any) -> AsyncGenerator[Any, None]:
    yield request


def client() -> httpx.AsyncClient:
    """A client that reads no settings of the machine."""
    return httpx.AsyncClient(timeout=20, trust_env=False, verify=False)


@pytest.mark.guarantee("D-30")
async def test_a_server_serves_while_it_is_open_and_closes_its_engine() -> None:
    engine = PooledEngine(echo)
    server = Server(engine)
    with pytest.raises(RuntimeError, match="before it is entered"):
        _ = server.url
    async with server, client() as http:
        assert server.url == f"http://127.0.0.1:{server.port}"
        assert (await http.post(f"{server.url}/generate", json=[1])).text == "[1]\n"
        assert (await http.get(f"{server.url}/health/ready")).status_code == 200
        assert (await http.get(f"{server.url}/metrics")).status_code == 200
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", server.port))
    with pytest.raises(pybridge.EngineClosed):
        await engine.call(1)
    with pytest.raises(RuntimeError, match="entered once"):
        await server.__aenter__()


async def test_options_are_those_of_the_protocol_and_of_the_server() -> None:
    options: Any = {"path": "/run", "metrics": False, "max_connections": 5, "drain_timeout": 0.1}
    async with Server(PooledEngine(echo), **options) as server, client() as http:
        assert (await http.post(f"{server.url}/run", json=1)).text == "1\n"
        assert (await http.get(f"{server.url}/metrics")).status_code == 404


async def forgotten(request: Any) -> None:
    """Was to stream, and has no `yield`."""


async def test_nothing_is_an_answer_in_json_and_a_failure_for_openais_clients(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "pybridge.server")
    async with Server(PooledEngine(forgotten, unary=True)) as server, client() as http:
        assert (await http.post(f"{server.url}/generate", json=1)).text == "null"
    assert "forgotten answers one value" in reports(caplog)
    async with Server(PooledEngine(forgotten, unary=True), protocol="openai") as server, client() as http:
        for stream in (False, True):
            body: dict[str, Any] = {"model": "m", "messages": [], "stream": stream}
            answer = await http.post(f"{server.url}/v1/chat/completions", json=body)
            assert (answer.status_code, answer.json()["error"]["message"]) == (500, "the handler failed")
    reason = "TypeError: the handler returned None where the text of an answer, a delta or a chunk is due"
    await until(lambda: sum(reason in report for report in reports(caplog)) == 2, lambda: f"both: {reports(caplog)}")
    async with Server(PooledEngine(echo)):
        assert reports(caplog)[-1] == "echo streams items"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("max_body", 0),
        ("keepalive", -1),
        ("max_connections", 0),
        ("drain_timeout", "soon"),
        ("access_log", "loud"),
        ("api_keys", "secret"),
        ("api_keys", ["sec\nret"]),
        ("api_keys", ["sec ret"]),
        ("tls_key", "key.pem"),
    ],
)
def test_an_option_that_cannot_be_is_named_and_no_key_is_shown(option: str, value: Any) -> None:
    with pytest.raises(ConfigError) as error:
        Server(PooledEngine(echo), **{option: value})
    assert error.value.field == {"tls_key": "tls_cert"}.get(option, option)
    assert "sec" not in error.value.reason.replace("seconds", "")


@pytest.mark.parametrize(("name", "call"), [("Server()", Server), ("serve()", pybridge.serve)])
def test_what_a_call_does_not_take_is_refused_in_its_words(name: str, call: Callable[..., object]) -> None:
    with pytest.raises(TypeError) as error:
        call(echo)
    remedy = "PooledEngine(handler) makes one"
    assert str(error.value) == f"{name} takes a PooledEngine, not a value of type function: {remedy}"
    for option, hint in {"bogus": "", "drain_timout": ": did you mean 'drain_timeout'?"}.items():
        with pytest.raises(TypeError) as error:
            call(PooledEngine(echo), **{option: 1})
        assert str(error.value) == f"{name} has no option {option!r}{hint}"


async def test_what_only_the_server_can_check_is_named_as_well() -> None:
    wrong = {
        "path": "run",
        "root_path": "behind",
        "pass_headers": ["no name"],
        "models": [""],
        "cors_origins": ["here"],
        "forwarded_allow_ips": ["here"],
    }
    for option, value in wrong.items():
        more: Any = {option: value, "protocol": "openai" if option == "models" else "generic"}
        with pytest.raises(ConfigError) as error:
            await Server(PooledEngine(echo), **more).__aenter__()
        assert error.value.field == option


@pytest.mark.guarantee("D-30")
async def test_leaving_it_lets_live_calls_finish() -> None:
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def slow(request: Any) -> AsyncGenerator[Any, None]:
        yield 1
        loop.call_soon_threadsafe(begun.set)
        await asyncio.to_thread(leaving.wait)
        yield 2

    leaving = threading.Event()
    async with client() as http:
        async with Server(PooledEngine(slow)) as server:
            call = asyncio.create_task(http.post(f"{server.url}/generate", json=1))
            await begun.wait()
            loop.call_later(0.05, leaving.set)
        assert (await call).text == "1\n2\n"


class Endless:
    """A handler that goes on for ever, and what became of its calls."""

    def __init__(self) -> None:
        self.begun = 0
        self.endings: list[str | None] = []

    async def __call__(self, request: Any, context: pybridge.Context) -> AsyncGenerator[Any, None]:
        self.begun += 1
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            self.endings.append(context.cancel_reason)


@pytest.mark.guarantee("D-30")
async def test_an_exception_ends_it_at_once() -> None:
    handler = Endless()
    async with client() as http:
        with pytest.raises(LookupError):
            async with Server(PooledEngine(handler)) as server:
                call = asyncio.create_task(http.post(f"{server.url}/generate", json=1))
                await until(lambda: handler.begun, "the call has begun")
                raise LookupError
        assert handler.endings == ["shutdown"]
        with pytest.raises(httpx.HTTPError):
            await call


@pytest.mark.parametrize("is_leaving", [False, True])
async def test_a_cancellation_ends_it_at_once(is_leaving: bool) -> None:
    handler, entered, leave = Endless(), asyncio.Event(), asyncio.Event()
    server = Server(PooledEngine(handler))

    async def program() -> None:
        async with server:
            entered.set()
            await leave.wait()

    async with client() as http:
        task = asyncio.create_task(program())
        await entered.wait()
        call = asyncio.create_task(http.post(f"{server.url}/generate", json=1))
        await until(lambda: handler.begun, "the call has begun")
        if is_leaving:
            leave.set()
            await turns(3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: handler.endings == ["shutdown"], lambda: f"{handler.endings}")
        with pytest.raises(httpx.HTTPError):
            await call


class NoModelError(Exception):
    """What a lifespan fails with."""


async def test_what_a_lifespan_raises_is_raised_itself_and_the_port_is_free_again() -> None:
    failure = NoModelError("none")

    class Failing(contextlib.AsyncExitStack):
        async def __aenter__(self) -> Self:
            raise failure

    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    engine = PooledEngine(echo, lifespan=Failing)
    with pytest.raises(NoModelError) as raised:
        await Server(engine, port=port).__aenter__()
    assert raised.value is failure
    with socket.create_server(("127.0.0.1", port)):
        pass
    engine.close()


@pytest.mark.guarantee("D-04")
async def test_a_lifespan_is_entered_before_anybody_can_connect() -> None:
    port = 0
    refused: list[bool] = []

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[str]:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            refused.append(True)
        yield "state"

    async def state(request: Any, context: pybridge.Context) -> AsyncGenerator[Any, None]:
        yield context.state

    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    async with Server(PooledEngine(state, lifespan=lifespan), port=port) as server, client() as http:
        assert refused == [True]
        assert (await http.post(f"{server.url}/generate", json=1)).text == '"state"\n'


async def test_an_address_that_is_taken_is_an_error_of_the_system() -> None:
    async with Server(PooledEngine(echo)) as server:
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{server.port}"):
            await Server(PooledEngine(echo), port=server.port).__aenter__()


async def test_a_unix_socket_has_no_port(tmp_path: Path) -> None:
    path = str(tmp_path / "run.sock")
    async with Server(PooledEngine(echo), uds=path) as server:
        assert server.url == f"unix:{path}"
        with pytest.raises(RuntimeError, match="no port"):
            _ = server.port
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=path)) as http:
            assert (await http.post("http://here/generate", json=1)).text == "1\n"
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240 - of a folder of the test's own


@pytest.mark.guarantee("P-10")
async def test_no_signal_is_taken_by_a_server() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with Server(PooledEngine(echo)):
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


async def test_a_failure_chosen_by_the_handler_reaches_the_client() -> None:
    async def refuse(request: Any) -> None:
        raise PublicError("out of stock", status=409, code="sold_out")

    async with Server(PooledEngine(refuse, unary=True)) as server, client() as http:
        answer = await http.post(f"{server.url}/generate", json=1)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "sold_out")


async def test_serve_is_not_for_threads_and_loops() -> None:
    with pytest.raises(RuntimeError, match="async with Server"):
        pybridge.serve(PooledEngine(echo), port=0)
    raised: list[BaseException] = []

    def elsewhere() -> None:
        try:
            pybridge.serve(PooledEngine(echo), port=0)
        except RuntimeError as error:
            raised.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    await asyncio.to_thread(thread.join)
    assert "async with Server" in str(raised[0])


SERVING = """
    import signal, sys, threading
    import pybridge

    async def echo(request):
        yield request

    def mine(number, frame):
        print("mine", number, flush=True)

    signal.signal(signal.SIGTERM, mine)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may start programs that ignore it
    engine = pybridge.PooledEngine(echo)
    pybridge.serve(engine, port=int(sys.argv[1]), drain_timeout=1)
    assert signal.getsignal(signal.SIGTERM) is mine
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.set_wakeup_fd(-1) == -1
    signal.raise_signal(signal.SIGTERM)
    print("after", flush=True)
"""


@pytest.mark.guarantee("D-31")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_returns_after_a_signal_and_gives_the_handlers_back(
    run: Starter, folder: Path, number: signal.Signals
) -> None:
    serving.write(folder, "serving.py", SERVING)
    port = free_port()
    program = run("serving.py", str(port))

    def answers() -> bool:
        with contextlib.suppress(httpx.ConnectError):
            return httpx.post(f"http://127.0.0.1:{port}/generate", json=1, trust_env=False).text == "1\n"
        return False

    wait_until(answers, lambda: f"it serves:\n{program.err}")
    program.signal(number).ended(0)
    assert program.out == f"mine {int(signal.SIGTERM)}\nafter\n"
    assert not program.err
