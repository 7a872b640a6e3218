"""The page of HTTP statuses: what a real engine answers to each kind of failure."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pybridge
from pybridge import FlowConfig, Limits, PooledEngine

HEAD = """# HTTP statuses

What `engine.asgi()` and `pybridge serve` answer when a call fails before its first item. An engine was asked for each
row when this page was built. [What a client is told](../asgi.md#what-a-client-is-told) explains them, and what happens
after the first item.

| what happens | status | `type` | `code` | headers |
| --- | --- | --- | --- | --- |
"""

FAILURES: dict[str, tuple[str, BaseException]] = {
    "public": ('`PublicError("…", 429, "quota")`', pybridge.PublicError("come back", 429, "quota")),
    "retryable": ('`PublicError("…", 503, retryable=True)`', pybridge.PublicError("later", 503, retryable=True)),
    "argument": ('`InvalidArgument("…")`', pybridge.InvalidArgument("no prompt")),
    "any": ("any other exception of the handler", ValueError("secret")),
    "timeout": ("the handler's own `TimeoutError`", TimeoutError()),
    "exit": ("`SystemExit` in the handler", SystemExit(1)),
}
"""What a handler raises, by the request that makes it."""

TOLD = ("retry-after", "x-should-retry", "allow")
"""Headers that a failure may have."""


async def handler(request: Any) -> AsyncIterator[Any]:
    """Does what the request says."""
    if request == "wait":
        await asyncio.Event().wait()
    if request in FAILURES:
        raise FAILURES[request][1]
    yield object() if request == "odd" else [[["deep"]]]


def page() -> str:
    """The page in Markdown."""
    logging.getLogger("pybridge.handler").disabled = True
    try:
        return HEAD + "".join(asyncio.run(_rows()))
    finally:
        logging.getLogger("pybridge.handler").disabled = False


async def _rows() -> list[str]:
    engine = PooledEngine(handler, worker="dedicated", limits=Limits(max_depth=2))
    full = PooledEngine(handler, worker="dedicated", flow=FlowConfig(max_concurrency=1, max_queue=0))
    closed = PooledEngine(handler)
    closed.close()
    app = engine.asgi(max_body=64)
    openai = engine.asgi(protocol="openai", models=["small"])
    rows = [_row(what, *await _ask(app, name)) for name, (what, _) in FAILURES.items()]
    rows += [
        _row("an item that cannot be encoded (`EncodeError`)", *await _ask(app, "odd")),
        _row("an item over a limit (`LimitExceeded`)", *await _ask(app, "deep")),
        _row("the time of `X-Request-Timeout` is over", *await _ask(app, "wait", (b"x-request-timeout", b"0.01"))),
        _row("a header that cannot be used", *await _ask(app, 1, (b"x-request-timeout", b"soon"))),
        _row("the body is no JSON", *await _ask(app, b"{")),
        _row("the body is over a limit of the engine", *await _ask(app, [[[1]]])),
        _row("the body is over `max_body`", *await _ask(app, "x" * 65)),
        _row("the body is of another type", *await _ask(app, 1, (b"content-type", b"text/plain"))),
        _row("no form that the client accepts", *await _ask(app, 1, (b"accept", b"image/png"))),
        _row("another path", *await _ask(app, 1, path="/other")),
        _row("another method", *await _ask(app, 1, method="DELETE")),
        _row("a model that is not served", *await _ask(openai, {"model": "huge"}, path="/v1/chat/completions")),
        _row("the engine is closed (`EngineClosed`)", *await _ask(closed.asgi(), 1)),
    ]
    async with full("wait", timeout=60):
        rows.append(_row("the engine is full (`Overloaded`)", *await _ask(full.asgi(), 1)))
    full.close()
    engine.close()
    return rows


def _row(what: str, status: int, headers: dict[str, str], error: dict[str, Any]) -> str:
    told = ", ".join(f"`{name}: {headers[name]}`" for name in TOLD if name in headers)
    code = f"`{error['code']}`" if error["code"] else "none"
    return f"| {what} | {status} | `{error['type']}` | {code} | {told} |\n"


async def _ask(
    app: Any, body: Any, *headers: tuple[bytes, bytes], path: str = "/generate", method: str = "POST"
) -> tuple[int, dict[str, str], dict[str, Any]]:
    requests = [{"type": "http.request", "body": body if isinstance(body, bytes) else json.dumps(body).encode()}]
    sent: list[Any] = []

    async def receive() -> Any:
        if not requests:
            await asyncio.Event().wait()
        return requests.pop()

    async def send(message: Any) -> None:
        sent.append(message)

    given = dict([(b"content-type", b"application/json"), *headers])
    await app({"type": "http", "method": method, "path": path, "headers": list(given.items())}, receive, send)
    answered = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    error = json.loads(b"".join(bytes(message.get("body", b"")) for message in sent[1:]))["error"]
    return sent[0]["status"], answered, error
