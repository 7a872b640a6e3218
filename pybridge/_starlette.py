"""A stream as a response of Starlette's, for the routes of Starlette and FastAPI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from starlette.background import BackgroundTask
from starlette.responses import Response

from pybridge import _pybridge
from pybridge._answer import Receive, Scope, Send, answer

Background: TypeAlias = BackgroundTask
"""What runs after a response."""


class StreamResponse(Response):
    """Sends a stream's chunks as the framework's own response; `PooledEngine.response` makes it.

    Headers and cookies may be set on it as on any response, `background` runs after it. Status and type are the
    stream's. A failure before the first item has its real status, one after the head breaks the answer off.
    """

    def __init__(
        self,
        stream: _pybridge.Stream[bytes],
        *,
        framing: str,
        format: str | None,  # noqa: A002  # the extension's word
        commit_after: float,
        keepalive: float,
        flush_interval: float,
        request_id: str | None,
        headers: Mapping[str, str] | None,
        background: Background | None,
    ) -> None:
        self.body = b""
        self.background = background
        self.raw_headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in (headers or {}).items()
        ]
        self._stream = stream
        self._framing = framing
        self._format = format
        self._commit_after = commit_after
        self._keepalive = keepalive
        self._flush_interval = flush_interval
        self._request_id = request_id

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Starts the stream, answers with it, and leaves it whatever happens."""
        exchange = _pybridge.HttpExchange.of_stream(
            self._stream,
            self._framing,
            format=self._format,
            commit_after=self._commit_after,
            keepalive=self._keepalive,
            flush_interval=self._flush_interval,
            request_id=self._request_id,
        )
        await answer(exchange, receive, send, self.raw_headers)
        if self.background is not None:
            await self.background()
