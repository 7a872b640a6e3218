"""Sending of an exchange's answer to an ASGI server, and the watch for a client that leaves."""

from __future__ import annotations

import asyncio
import contextlib
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
    exchange: _pybridge.HttpExchange,
    receive: Receive,
    send: Send,
    *,
    status: int = 200,
    headers: Iterable[Header] = (),
) -> None:
    """Sends the answer of an exchange. Suspends until it is whole, or the client has gone and the handler has ended.

    Args:
        exchange: It has its whole request.
        receive: Says that the client has gone.
        send: Takes the answer.
        status: That of an answer that is no failure.
        headers: Added to those of an answer that is no failure; one of a name that it has replaces its own.

    Raises:
        RuntimeError: The handler failed after the head was sent. The failure has been logged, and the exception makes
            the server break the answer off.
        Exception: What `receive` or `send` raised; the handler is cancelled.
    """
    peer = _Peer(receive, exchange)
    try:
        await _send_all(exchange, send, status, headers)
    except BaseException as error:
        # Servers say by an `OSError` that a connection is closed.
        exchange.abandon("client" if isinstance(error, OSError) else "caller")
        peer.leave()
        if not isinstance(error, GeneratorExit):
            await exchange.ended()
        raise
    listener = peer.leave()
    if exchange.is_abandoned:
        await exchange.ended()
    if listener is not None:
        await asyncio.wait([listener])
    if peer.failure is not None:
        raise peer.failure


async def _send_all(exchange: _pybridge.HttpExchange, send: Send, status: int, headers: Iterable[Header]) -> None:
    head = await exchange.head()
    if head is None:
        return
    found, own = head
    if found == 200:
        replaced = {name.lower() for name, _ in headers}
        found, own = status, [*(header for header in own if header[0] not in replaced), *headers]
    await send({"type": "http.response.start", "status": found, "headers": own})
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
    """Abandons an exchange with the reason `client` when the server says that the client has gone.

    `failure` is what `receive` raised instead.
    """

    def __init__(self, receive: Receive, exchange: _pybridge.HttpExchange) -> None:
        self.failure: Exception | None = None
        self._receive = receive
        self._exchange = exchange
        self._task: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(PATIENCE, self._listen)

    def _listen(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        try:
            if not await self._goes():
                return
        except Exception as error:  # noqa: BLE001 - it is raised where the answer is sent
            self.failure = error
        self._exchange.abandon("client")

    async def _goes(self) -> bool:
        """Whether the client has gone; False: this `receive` will not say: it gives the end of a request twice."""
        ends = 0
        while (message := await self._receive())["type"] != "http.disconnect":
            ends += not message.get("more_body", False)
            if ends > 1:
                return False
        return True

    def leave(self) -> asyncio.Task[None] | None:
        """Listens no more; gives the task that did, which is cancelled. Nothing refers to it from here."""
        self._timer.cancel()
        task, self._task = self._task, None
        if task is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                task.cancel()
        return task
