"""`engine.response` and `engine.asgi` within Starlette and FastAPI, and below their middleware."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from typing import Any

import httpx
import pytest

from pybridge import PooledEngine

from support.fronts import Server
from support.served.script import script
from support.wire import Answer

EVENTS = b'data: {"n":0}\n\ndata: {"n":1}\n\n'
APPS = ("plain", "wrapped", "gzipped")
RESPONSES = ("bytes", "model", "resource", "background")


async def post(
    server: Server, path: str, do: list[Any], name: str = "unnamed", headers: dict[str, str] | None = None
) -> Answer:
    """The answer of a route as soon as its head has come."""
    connection = await server.connect()
    headers = {"Content-Type": "application/json", "X-Request-Id": name, **(headers or {})}
    await connection.request("POST", server.path("routes", path), json.dumps({"do": do}).encode(), headers)
    return await connection.answer()


@pytest.mark.guarantee("W-37")
@pytest.mark.parametrize("app", APPS)
async def test_a_response_streams_from_a_route(asgi_server: Server, app: str) -> None:
    for route in RESPONSES:
        answer = await post(asgi_server, f"/{app}/{route}", [{"count": 2}], f"{app}-{route}")
        assert (answer.status, await answer.whole()) == (200, EVENTS)
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert (answer.headers["cache-control"], answer.headers["x-accel-buffering"]) == ("no-cache", "no")
        assert answer.headers["x-request-id"] == f"{app}-{route}"
        assert answer.headers.get("x-own") == ("yes" if route == "model" else None)
    lines = await post(asgi_server, f"/{app}/lines", [{"count": 2}])
    assert (lines.headers["content-type"], await lines.whole()) == ("application/x-ndjson", b'{"n":0}\n{"n":1}\n')


async def test_a_route_of_starlette_and_mounted_engines_answer(asgi_server: Server) -> None:
    assert await (await post(asgi_server, "/starlette/route", [{"count": 2}])).whole() == EVENTS
    for path in ("/starlette/mounted", *(f"/{app}/mounted" for app in APPS)):
        found = await post(asgi_server, f"{path}/generate", [{"count": 2}], headers={"Accept": "text/event-stream"})
        assert (found.status, await found.whole()) == (200, EVENTS)
        missing = await post(asgi_server, f"{path}/generat", [])
        assert missing.status == 404


@pytest.mark.parametrize("app", APPS)
async def test_a_failure_before_the_first_item_has_its_status(asgi_server: Server, app: str) -> None:
    for path in (*RESPONSES, "mounted/generate"):
        failed = await post(asgi_server, f"/{app}/{path}", [{"raise": "a private text"}])
        assert (failed.status, failed.headers["x-should-retry"]) == (500, "false")
        assert (await failed.error())["code"] == "handler_error"
    public = {"message": "taken", "status": 409, "code": "taken", "headers": {"X-Seat": "7a"}}
    taken = await post(asgi_server, f"/{app}/model", [{"public": public}])
    assert (taken.status, taken.headers["x-seat"], (await taken.error())["code"]) == (409, "7a", "taken")


@pytest.mark.parametrize("app", ["plain", "gzipped"])
async def test_a_failure_after_the_head_is_an_event_and_breaks_off(asgi_server: Server, app: str) -> None:
    for path in (*RESPONSES, "mounted/generate"):
        headers = {"Accept": "text/event-stream"}
        answer = await post(asgi_server, f"/{app}/{path}", [{"count": 2}, {"raise": "x"}], headers=headers)
        body, whole = await answer.body()
        assert body.startswith(EVENTS + b"event: error\ndata: {"), path
        assert not whole, path


async def test_a_broken_end_that_a_middleware_hides_is_told_in_band(asgi_server: Server) -> None:
    for path in (*RESPONSES, "mounted/generate"):
        headers = {"Accept": "text/event-stream"}
        answer = await post(asgi_server, f"/wrapped/{path}", [{"count": 2}, {"raise": "x"}], headers=headers)
        body, _ = await answer.body()
        assert answer.headers["x-tagged"] == "yes"
        assert body.startswith(EVENTS + b"event: error\ndata: {")
        assert json.loads(body.decode().rpartition("data: ")[2])["error"]["code"] == "handler_error"


@pytest.mark.guarantee("W-37")
@pytest.mark.parametrize("app", APPS)
async def test_a_client_that_gives_up_ends_the_handler_below_any_middleware(asgi_server: Server, app: str) -> None:
    for path in (*RESPONSES, "mounted/generate"):
        name = f"{app}-{path}-before"
        connection = await asgi_server.connect()
        async with connection:
            headers = {"X-Request-Id": name, "Content-Type": "application/json"}
            await connection.request("POST", asgi_server.path("routes", f"/{app}/{path}"), b'{"do":["wait"]}', headers)
            await asgi_server.noted(name, "begun")
            connection.fin()
            await asgi_server.noted(name, "ended: client")
        name = f"{app}-{path}-between"
        answer = await post(asgi_server, f"/{app}/{path}", [{"count": 2}, "wait"], name)
        await answer.until(b'{"n":1}')
        answer.connection.rst()
        await asgi_server.noted(name, "ended: client")
    await asgi_server.assert_nothing_left()


@pytest.mark.guarantee("W-37")
async def test_a_response_that_a_middleware_replaces_leaves_its_stream(asgi_server: Server) -> None:
    for path in (*RESPONSES, "mounted/generate"):
        name = f"replaced-{path}"
        answer = await post(asgi_server, f"/replacing/{path}", [{"count": 2}, "wait"], name)
        assert (answer.status, await answer.whole()) == (203, b"another answer")
        await asgi_server.noted(name, "ended: client")


@pytest.mark.parametrize("app", APPS)
async def test_background_tasks_run_after_the_answer(asgi_server: Server, app: str) -> None:
    name = f"{app}-task"
    await (await post(asgi_server, f"/{app}/background", [{"count": 2}], name)).whole()
    assert await asgi_server.noted(name, "background") >= await asgi_server.noted(name, "ended: finished")


@pytest.mark.parametrize("app", APPS)
async def test_background_tasks_do_not_run_after_a_failure_past_the_head(asgi_server: Server, app: str) -> None:
    failed, good = f"{app}-no-task", f"{app}-task-afterwards"
    await (await post(asgi_server, f"/{app}/background", [{"count": 2}, {"raise": "x"}], failed)).body()
    await asgi_server.noted(failed, "ended: ValueError")
    await (await post(asgi_server, f"/{app}/background", [{"count": 2}], good)).whole()
    await asgi_server.noted(good, "background")
    assert "background" not in asgi_server.notes(failed)


@pytest.mark.parametrize("app", APPS)
async def test_a_dependency_is_released_after_the_stream_however_that_ends(asgi_server: Server, app: str) -> None:
    for ending, do in (("finished", [{"count": 2}]), ("ValueError", [{"count": 2}, {"raise": "x"}])):
        name = f"{app}-{ending}"
        await (await post(asgi_server, f"/{app}/resource", do, name)).body()
        assert await asgi_server.noted(name, "released") >= await asgi_server.noted(name, f"ended: {ending}")
    name = f"{app}-leaves"
    answer = await post(asgi_server, f"/{app}/resource", [{"count": 2}, "wait"], name)
    await answer.until(b'{"n":1}')
    answer.connection.rst()
    await asgi_server.noted(name, "ended: client")
    await asgi_server.noted(name, "released")


@pytest.mark.parametrize("app", APPS)
async def test_silence_is_filled_below_any_middleware(asgi_server: Server, app: str) -> None:
    answer = await post(asgi_server, f"/{app}/hasty", [{"pause": 0.5}, {"count": 2}])
    assert re.fullmatch(rb"(: ka\n)+" + re.escape(EVENTS), await answer.whole())


async def test_events_leave_a_compressing_middleware_one_by_one(asgi_server: Server) -> None:
    """Starlette's own does not compress server-sent events; lines it does."""
    headers = {"Accept-Encoding": "gzip"}
    events = await post(asgi_server, "/gzipped/model", [{"count": 2}, "wait"], headers=headers)
    assert await events.until(b'{"n":1}\n\n') == EVENTS
    events.connection.rst()
    lines = await post(asgi_server, "/gzipped/lines", [{"count": 2}], headers=headers)
    assert lines.headers["content-encoding"] == "gzip"
    assert gzip.decompress(await lines.whole()) == b'{"n":0}\n{"n":1}\n'
    broken = await post(asgi_server, "/gzipped/lines", [{"count": 2}, {"raise": "x"}], headers=headers)
    body, whole = await broken.body()
    assert not whole
    assert zlib.decompressobj(31).decompress(body) in (b'{"n":0}\n{"n":1}\n', b"")


async def test_a_body_that_fastapi_refuses_never_reaches_the_engine(asgi_server: Server) -> None:
    refused = await post(asgi_server, "/plain/model", "no list", "fastapi-refuses")  # type: ignore[arg-type]
    assert refused.status == 422
    assert not asgi_server.notes("fastapi-refuses")


async def test_an_application_is_asked_without_a_server() -> None:
    """What people test their own applications with."""
    async with PooledEngine(script) as engine:
        app = engine.asgi()
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            response = await client.post("/generate", json={"do": [{"count": 2}]})
            assert (response.status_code, response.text) == (200, '{"n":0}\n{"n":1}\n')
            assert (await client.post("/generate", json={"do": [{"raise": "x"}]})).status_code == 500
