"""The way of an answer to an ASGI server: head, pieces, end; and of the news that the client has gone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, TypeAlias

from pybridge import _pybridge

Scope: TypeAlias = MutableMapping[str, Any]
"""What an ASGI server says of a connection."""

Message: TypeAlias = MutableMapping[str, Any]
"""What an ASGI server and an application tell each other."""

Receive: TypeAlias = Callable[[], Awaitable[Message]]
"""Gives the server's next message."""

Send: TypeAlias = Callable[[Message], Awaitable[None]]
"""Takes a message for the server."""

Header: TypeAlias = tuple[bytes, bytes]
"""Name and value."""

PATIENCE = 0.02
"""Seconds after which the server is asked whether the client has gone: most short answers need no task for that."""


async def answer(
    exchange: _pybridge.HttpExchange, receive: Receive, send: Send, headers: Iterable[Header] = ()
) -> None:
    """Sends the answer of an exchange. Suspends until it is whole, or the client has gone and the handler has ended.

    Args:
        exchange: It has its whole request.
        receive: Says that the client has gone.
        send: Takes the answer.
        headers: Added to those of the answer; one of a name that the answer has replaces it.

    Raises:
        RuntimeError: The handler failed after the head was sent. The failure has been logged, and the exception makes
            the server break the answer off.
    """
    peer = _Peer(receive, exchange)
    reason = "caller"
    try:
        await _send_all(exchange, send, headers)
    except OSError:
        reason = "client"  # servers say so of a connection that is closed
        raise
    finally:
        if not exchange.is_whole:
            exchange.abandon(reason)
            await exchange.ended()
        await peer.leave()


async def _send_all(exchange: _pybridge.HttpExchange, send: Send, headers: Iterable[Header]) -> None:
    head = await exchange.head()
    if head is None:
        return
    status, own = head
    if headers:
        replaced = {name.lower() for name, _ in headers}
        own = [*(header for header in own if header[0] not in replaced), *headers]
    await send({"type": "http.response.start", "status": status, "headers": own})
    if not (exchange.has_piece or exchange.is_whole):
        await send(_body(b"", more=True))  # servers keep the head until a part of the body comes
    while (piece := await exchange.read()) is not None:
        whole = exchange.is_whole
        await send(_body(piece, more=not whole))
        if whole:
            return
    if not exchange.is_abandoned:
        await send(_body(b"", more=False))


def _body(piece: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": piece, "more_body": more}


class _Peer:
    """Abandons an exchange with the reason `client` when the server says that the client has gone."""

    def __init__(self, receive: Receive, exchange: _pybridge.HttpExchange) -> None:
        self._receive = receive
        self._exchange = exchange
        self._task: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(PATIENCE, self._listen)

    def _listen(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        try:
            while (await self._receive())["type"] != "http.disconnect":
                pass
        finally:
            self._exchange.abandon("client")

    async def leave(self) -> None:
        """Listens no more. Suspends until the server's `receive` has been left."""
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
