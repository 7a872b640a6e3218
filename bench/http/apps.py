"""ASGI applications that stream the handler named by `HANDLER`, of pybridge and by hand with orjson, and one that notes
in the file `NOTES` when its handlers ended.
"""

import asyncio
import inspect
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import handlers
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from pybridge import Context, PooledEngine
from pybridge.bench.system import give_back

handler = getattr(handlers, os.environ.get("HANDLER", "awaiting"))

pooled = PooledEngine(handler, codec="json", worker="attached", unary=inspect.iscoroutinefunction(handler)).asgi(
    path="/"
)


async def _events(request: dict[str, Any]) -> AsyncIterator[bytes]:
    async for item in handler(request):
        yield b"data: " + orjson.dumps(item) + b"\n\n"


async def _answer(request: Request) -> Response:
    asked = orjson.loads(await request.body())
    if request.headers["accept"] == "application/json":
        return Response(orjson.dumps(await handler(asked)), media_type="application/json")
    return StreamingResponse(_events(asked), media_type="text/event-stream")


async def _release(_request: Request) -> Response:
    give_back()
    return Response()


plain = Starlette(routes=[Route("/", _answer, methods=["POST"]), Route("/release", _release)])


def _note(line: str) -> None:
    with Path(os.environ["NOTES"]).open("a", encoding="utf-8") as notes:
        notes.write(line)


async def _noting(request: dict[str, Any], context: Context) -> AsyncIterator[dict[str, Any]]:
    """Is silent first, then gives an item from time to time; notes when and why it ended."""
    try:
        await asyncio.sleep(request["silent"])
        while True:
            yield handlers.chunk()
            await asyncio.sleep(request["pace"])
    finally:
        _note(f"{context.id} {context.cancel_reason} {time.monotonic()}\n")


noting_engine = PooledEngine(_noting, codec="json")
noting = noting_engine.asgi(path="/", health=True)
