"""A stream as a response of Starlette's, for the routes of Starlette and FastAPI."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from starlette.background import BackgroundTask
from starlette.responses import Response

from pybridge import _pybridge
from pybridge._asgi_answer import answer
from pybridge._asgi_types import Header, Receive, Scope, Send
from pybridge._one_line_text import flaw_of, is_token
from pybridge.errors import ConfigError

Background: TypeAlias = BackgroundTask
"""What runs after a response."""


class StreamResponse(Response):
    """Sends a stream's chunks as the framework's own response; `PooledEngine.response` makes it.

    Headers, cookies and the status may be set on it as on any response; a failure before the first item has its own.
    One after the head breaks the answer off. `background` runs after the answer unless that broke off.
    """

    def __init__(
        self,
        begin: Callable[[], _pybridge.HttpExchange],
        *,
        headers: Mapping[str, str] | None,
        background: Background | None,
    ) -> None:
        self.body = b""
        self.status_code = 200
        self.background = background
        self.raw_headers = [_header(name, value) for name, value in (headers or {}).items()]
        self._begin = begin

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Starts the stream, answers with it, and leaves it whatever happens."""
        exchange = self._begin()
        await answer(exchange, receive, send, status=self.status_code, headers=self.raw_headers)
        if self.background is not None:
            await self.background()


def _header(name: str, value: str) -> Header:
    if not is_token(name):
        raise ConfigError("headers", f"{name!r} is no name of a header")
    if flaw := flaw_of(value):
        raise ConfigError("headers", f"{name}: {flaw}")
    try:
        return name.lower().encode("ascii"), value.encode("latin-1")
    except UnicodeEncodeError:
        raise ConfigError("headers", f"{name}: must be text of Latin-1, not {value!r}") from None
