"""ASGI applications that stream the handler named by `HANDLER`: of pybridge, and written by hand with orjson."""

import os
from collections.abc import AsyncIterator
from typing import Any

import handlers
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from pybridge import PooledEngine

handler = getattr(handlers, os.environ.get("HANDLER", "awaiting"))

pooled = PooledEngine(handler, codec="json", worker="attached").asgi(path="/")


async def _events(request: dict[str, Any]) -> AsyncIterator[bytes]:
    async for item in handler(request):
        yield b"data: " + orjson.dumps(item) + b"\n\n"


async def _stream(request: Request) -> StreamingResponse:
    return StreamingResponse(_events(orjson.loads(await request.body())), media_type="text/event-stream")


plain = Starlette(routes=[Route("/", _stream, methods=["POST"])])
