"""Routes of FastAPI and Starlette that answer with an engine, below the middleware that people put around them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, Request, Response
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount, Route

from pybridge import PooledEngine

from support.served.notes import note
from support.served.script import script

engine = PooledEngine(script, name="routes")
router = APIRouter()


class Body(BaseModel):
    """A request that FastAPI has checked."""

    do: list[Any]


def name_of(request: Request) -> str:
    """The name that a client gave its request."""
    return request.headers.get("x-request-id", "unnamed")


async def resource(request: Request) -> AsyncIterator[str]:
    """A dependency that notes how long it was held."""
    note(name_of(request), "opened")
    try:
        yield "resource"
    finally:
        note(name_of(request), "released")


@router.post("/bytes")
async def from_bytes(request: Request) -> Response:
    """The body goes to the worker as it came."""
    return engine.response(await request.body(), encoded="json", request_id=name_of(request))


@router.post("/model")
async def from_model(body: Body, request: Request) -> Response:
    """The body was read and checked by FastAPI."""
    return engine.response(body.model_dump(), request_id=name_of(request), headers={"X-Own": "yes"})


@router.post("/lines")
async def lines(body: Body, request: Request) -> Response:
    """Another framing."""
    return engine.response(body.model_dump(), framing="ndjson", request_id=name_of(request))


@router.post("/hasty")
async def hasty(body: Body, request: Request) -> Response:
    """A head that does not wait for long."""
    return engine.response(body.model_dump(), request_id=name_of(request), commit_after=0.2, keepalive=0.1)


@router.post("/background")
async def background(body: Body, request: Request, tasks: BackgroundTasks) -> Response:
    """A task after the answer."""
    tasks.add_task(note, name_of(request), "background")
    return engine.response(body.model_dump(), request_id=name_of(request))


@router.post("/resource")
async def with_resource(body: Body, request: Request, held: Annotated[str, Depends(resource)]) -> Response:
    """A dependency around the answer."""
    return engine.response(body.model_dump(), request_id=name_of(request))


async def tagged(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """What `@app.middleware("http")` makes of a function: Starlette reads the answer and sends it again."""
    response = await call_next(request)
    response.headers["X-Tagged"] = "yes"
    return response


async def starlette_route(request: Request) -> Response:
    """A route without FastAPI."""
    return engine.response(await request.body(), encoded="json", request_id=name_of(request))


def application() -> FastAPI:
    """An application with all routes, and the engine itself as a part of it."""
    app = FastAPI()
    app.include_router(router)
    app.mount("/mounted", engine.asgi())
    return app


async def replaced(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """A middleware that answers by itself, after the application has begun to."""
    await call_next(request)
    return Response("another answer", status_code=203)


plain, wrapped, gzipped, replacing = (application() for _ in range(4))
wrapped.middleware("http")(tagged)
replacing.middleware("http")(replaced)
gzipped.add_middleware(GZipMiddleware, minimum_size=1)

routes = Starlette(
    routes=[
        Mount("/plain", plain),
        Mount("/wrapped", wrapped),
        Mount("/gzipped", gzipped),
        Mount("/replacing", replacing),
        Mount("/starlette/mounted", engine.asgi()),
        Route("/starlette/route", starlette_route, methods=["POST"]),
    ]
)
