"""The promises of `engine.asgi()` to any ASGI server, well-behaved or not."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from collections.abc import AsyncIterator, Iterable, MutableMapping
from typing import Any

import anyio
import pytest

from pybridge import ConfigError, Context, Limits, PooledEngine
from pybridge.asgi import AsgiApp

Message = MutableMapping[str, Any]

ENDED: dict[str, str | None] = {}


async def handler(request: Any, context: Context) -> AsyncIterator[Any]:
    """Does what each word says."""
    try:
        for word in request.split():
            if word == "wait":
                await asyncio.Event().wait()
            elif word == "turns":
                for _ in range(200):
                    await asyncio.sleep(0.001)
            else:
                yield word
    finally:
        ENDED[context.id] = context.cancel_reason


def scope(request_id: bytes = b"r", **changes: Any) -> dict[str, Any]:
    names = {b"content-type": b"application/json", b"accept": b"text/event-stream", b"x-request-id": request_id}
    headers = list(names.items())
    return {"type": "http", "method": "POST", "path": "/generate", "headers": headers, **changes}


class Exchange:
    """One request as a server would pass it on, and what the application sent."""

    def __init__(self, body: bytes) -> None:
        self.sent: list[Message] = []
        self.begun = asyncio.Event()
        self._messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        self._gone = asyncio.Event()

    async def receive(self) -> Message:
        if self._messages:
            return self._messages.pop()
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)
        self.begun.set()

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.sent[1:])


@pytest.fixture
def app() -> Iterable[AsgiApp]:
    ENDED.clear()
    with PooledEngine(handler, worker="attached") as engine:
        yield engine.asgi(health=True)


def others() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks() - {asyncio.current_task()}


async def test_a_receive_that_repeats_the_request_is_not_asked_for_ever(app: AsgiApp) -> None:
    """As below a middleware that has read the body and gives it again."""
    exchange = Exchange(b"")

    async def again() -> Message:
        return {"type": "http.request", "body": b'"turns done"', "more_body": False}

    async with asyncio.timeout(20):
        await app(scope(), again, exchange.send)
    assert exchange.body == b'data: "done"\n\n'


@pytest.mark.guarantee("W-39")
@pytest.mark.parametrize("cancels", [1, 2, 3])
async def test_however_often_it_is_cancelled_no_task_is_left(app: AsgiApp, cancels: int) -> None:
    exchange = Exchange(b'"turns one wait"')
    task = asyncio.create_task(app(scope(request_id=b"c"), exchange.receive, exchange.send))
    await exchange.begun.wait()
    for _ in range(cancels):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(20):
        while others():
            await asyncio.wait(others())
    assert ENDED == {"c": "caller"}


async def test_a_scope_of_anyio_leaves_no_task_behind(app: AsgiApp) -> None:
    exchange = Exchange(b'"turns one wait"')
    with anyio.CancelScope() as outer:
        async with anyio.create_task_group() as group:
            group.start_soon(app, scope(), exchange.receive, exchange.send)
            await exchange.begun.wait()
            outer.cancel()
    async with asyncio.timeout(20):
        while others():
            await asyncio.wait(others())


@pytest.mark.guarantee("W-39")
async def test_nothing_of_a_request_is_alive_when_its_answer_is_there(app: AsgiApp, collector_off: None) -> None:
    class Held:
        pass

    variable: contextvars.ContextVar[Held] = contextvars.ContextVar("variable")

    async def request() -> weakref.ref[Held]:
        held = Held()
        variable.set(held)
        exchange = Exchange(b'"turns done"')
        await app(scope(), exchange.receive, exchange.send)
        assert exchange.body == b'data: "done"\n\n'
        return weakref.ref(held)

    held = await asyncio.create_task(request())
    await asyncio.sleep(0)
    assert held() is None, gc.get_referrers(held())


@pytest.mark.guarantee("W-39")
@pytest.mark.parametrize("broken", [RuntimeError("of the server"), None, {}])
async def test_what_receive_fails_with_ends_the_handler_and_reaches_the_server(app: AsgiApp, broken: Any) -> None:
    exchange = Exchange(b"")
    messages = [{"type": "http.request", "body": b'"turns one wait"'}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        await exchange.begun.wait()
        if isinstance(broken, Exception):
            raise broken
        return broken

    with pytest.raises((RuntimeError, TypeError, KeyError)):
        await app(scope(request_id=b"b"), receive, exchange.send)
    assert ENDED == {"b": "client"}


@pytest.mark.guarantee("W-39")
async def test_what_send_fails_with_ends_the_handler_and_reaches_the_server(app: AsgiApp) -> None:
    exchange = Exchange(b'"one wait"')

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        await app(scope(request_id=b"s"), exchange.receive, send)
    assert ENDED == {"s": "client"}


async def test_an_application_that_is_closed_asks_its_handler_to_stop(app: AsgiApp) -> None:
    exchange = Exchange(b'"one wait"')
    coroutine = app(scope(), exchange.receive, exchange.send)
    coroutine.send(None)
    coroutine.close()
    async with asyncio.timeout(20):
        while others():
            await asyncio.wait(others())
    assert ENDED in ({}, {"r": "caller"}), "it may not have begun"


async def test_heads_that_no_server_should_pass_on_are_answered(app: AsgiApp) -> None:
    many = [(b"x-%d" % number, b"") for number in range(40_000)]
    heads: list[tuple[dict[str, Any], int]] = [
        ({"headers": many}, 431),
        ({"path": "/\udc80"}, 404),
        ({"method": "\u2603", "path": "/health/live"}, 405),
        ({"root_path": None}, 200),
        ({"headers": [(b"bad name", b"\n"), *scope()["headers"]]}, 200),
    ]
    for changes, status in heads:
        exchange = Exchange(b'"one"')
        await app(scope(**changes), exchange.receive, exchange.send)
        assert exchange.status == status, changes


async def test_a_body_over_the_limit_of_the_engine_is_refused_before_it_is_read() -> None:
    with PooledEngine(handler, worker="attached", limits=Limits(max_frame_bytes=100)) as engine:
        exchange = Exchange(b"")
        headers = [*scope()["headers"], (b"content-length", b"101")]

        async def receive() -> Message:
            raise AssertionError("it is not read")

        await engine.asgi()(scope(headers=headers), receive, exchange.send)
        assert exchange.status == 413


def test_a_path_that_no_request_has_is_refused() -> None:
    with PooledEngine(handler) as engine:
        for path in ("/%41", "/a b", "no-slash", "/?x"):
            with pytest.raises(ConfigError, match="path"):
                engine.asgi(path=path)


def test_headers_of_a_response_stay_on_their_line() -> None:
    with PooledEngine(handler) as engine:
        for headers in ({"x": "a\r\nset-cookie: b"}, {"a b": "c"}, {"x": "\u20ac"}, {"\u20ac": "x"}):
            with pytest.raises(ConfigError, match="headers"):
                engine.response("one", headers=headers)


async def test_status_and_headers_of_a_response_are_those_of_its_success() -> None:
    with PooledEngine(handler, worker="attached") as engine:
        for request, status, kind in (("one", 201, b"text/special"), (None, 500, b"application/json")):
            response = engine.response(request, headers={"Content-Type": "text/special"})
            assert response.status_code == 200
            response.status_code = 201
            exchange = Exchange(b"")
            await response(scope(), exchange.receive, exchange.send)
            assert exchange.status == status
            assert dict(exchange.sent[0]["headers"])[b"content-type"] == kind
