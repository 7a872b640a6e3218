"""Applications for Serve: handlers of bench/http by the engine and by hand, and one whose streams tell how they end."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import handlers
import orjson
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from ray import serve

from pybridge import Context, PooledEngine


def pooled(handler: str, flush_interval: float) -> Any:
    """The engine, below the path `/`."""

    def build() -> Any:
        return PooledEngine(getattr(handlers, handler)).asgi(path="/", flush_interval=flush_interval)

    return _application(build)


def plain(handler: str) -> Any:
    """A generator in a `StreamingResponse`, below the path `/`."""

    def build() -> Any:
        return _fastapi(getattr(handlers, handler))

    return _application(build)


def observed(endings: Path, wrap: Callable[[Any], Any], **settings: Any) -> Any:
    """The engine over a handler that writes when each of its streams began, and how it ended.

    `wrap` goes around the application, `settings` are those of the deployment.
    """

    def tell(**facts: object) -> None:
        with endings.open("a", encoding="utf-8") as file:
            file.write(json.dumps(facts | {"at": time.time()}) + "\n")

    async def handler(request: dict[str, Any], context: Context) -> AsyncIterator[Any]:
        tell(id=context.id, reason="runs")
        try:
            for number in range(request["items"]):
                await asyncio.sleep(request["pause"])
                yield {"n": number, "text": "x" * request.get("chars", 0)}
        finally:
            tell(id=context.id, reason=context.cancel_reason)

    def build() -> Any:
        app = wrap(PooledEngine(handler).asgi(path="/", flush_interval=0.1))

        async def watched(scope: Any, receive: Any, send: Any) -> None:
            async def heard() -> Any:
                message = await receive()
                if scope["type"] == "lifespan":
                    tell(id=message["type"])
                return message

            await app(scope, heard, send)

        return watched

    return _application(build, **settings)


def _application(build: Callable[[], Any], **settings: Any) -> Any:
    settings = {"max_ongoing_requests": 1000, "ray_actor_options": {"num_cpus": 0}, **settings}
    return serve.deployment(serve.ingress(build)(), name="Bench", **settings).bind()


def _fastapi(handler: Callable[[dict[str, Any]], handlers.Items]) -> FastAPI:
    async def events(request: dict[str, Any]) -> AsyncIterator[bytes]:
        async for item in handler(request):
            yield b"data: " + orjson.dumps(item) + b"\n\n"

    async def stream(request: Request) -> StreamingResponse:
        return StreamingResponse(events(orjson.loads(await request.body())), media_type="text/event-stream")

    app = FastAPI()
    # Added by a call: annotations of a local function are looked up in the module, which knows FastAPI's names.
    app.add_api_route("/", stream, methods=["POST"])
    return app
