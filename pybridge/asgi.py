"""An engine as an ASGI application, for uvicorn, Granian, Hypercorn, Starlette, FastAPI and Ray Serve."""

from __future__ import annotations

import asyncio

from pybridge import _pybridge
from pybridge._asgi_answer import answer
from pybridge._asgi_types import Receive, Scope, Send
from pybridge._http_options import HttpOptions
from pybridge.errors import ConfigError


class AsgiApp:
    """An ASGI 3 application that answers requests with the streams of one engine; `PooledEngine.asgi` makes it."""

    def __init__(self, engine: _pybridge.Engine, options: HttpOptions) -> None:
        try:
            self._protocol = _pybridge.HttpProtocol(engine, options)
        except ValueError as error:
            raise ConfigError(*error.args) from None
        self._live: set[_pybridge.HttpExchange] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one connection of the server's, as ASGI says."""
        kind = scope["type"]
        if kind == "http":
            await self._exchange(scope, receive, send)
        elif kind == "lifespan":
            await self._stay(receive, send)
        elif kind == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        else:
            raise ValueError(f"this application answers no ASGI connection of the type {kind!r}")

    async def _exchange(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = self._protocol.exchange(scope["method"], _path(scope), scope["headers"])
        while exchange.receives:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            exchange.receive(message.get("body") or b"", bool(message.get("more_body")))
        self._live.add(exchange)
        try:
            await answer(exchange, receive, send)
        finally:
            self._live.discard(exchange)

    async def _stay(self, receive: Receive, send: Send) -> None:
        """Answers the server's news that it starts and stops: an engine starts at its first use and ends with its loop.

        A server that stops has waited for its clients as long as it would; what still runs is cancelled with the reason
        `shutdown`, and its cleanup is waited for.
        """
        while True:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                for exchange in (live := list(self._live)):
                    exchange.abandon("shutdown")
                await asyncio.gather(*(exchange.ended() for exchange in live))
                await send({"type": "lifespan.shutdown.complete"})
                return
            await send({"type": "lifespan.startup.complete"})


def _path(scope: Scope) -> str:
    """The path below where the application is mounted."""
    path: str = scope["path"]
    root: str = scope.get("root_path") or ""
    below = path.removeprefix(root)
    return path if below and below[0] != "/" else below or "/"
