"""Sending of an exchange's answer to an ASGI server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from pybridge import _pybridge
from pybridge._asgi_types import Header, Message, Receive, Send
from pybridge._client_watch import ClientWatch


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
    watch = ClientWatch(receive, exchange)
    try:
        await _send_all(exchange, send, status, headers)
    except BaseException as error:
        # Servers say by an `OSError` that a connection is closed.
        exchange.abandon("client" if isinstance(error, OSError) else "caller")
        watch.leave()
        if not isinstance(error, GeneratorExit):
            await exchange.ended()
        raise
    listener = watch.leave()
    if exchange.is_abandoned:
        await exchange.ended()
    if listener is not None:
        await asyncio.wait([listener])
    if watch.failure is not None:
        raise watch.failure


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
