"""Formats of requests and answers, and refusals by method, path and type."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest

from support.fronts import Server

ITEMS = [{"n": 0}, {"n": 1}]
EVENTS = b'data: {"n":0}\n\ndata: {"n":1}\n\n'
LINES = b'{"n":0}\n{"n":1}\n'
ARRAY = b'[{"n":0},{"n":1}]'
VALUES = b"".join(msgpack.packb(item) for item in ITEMS)

SSE = "text/event-stream; charset=utf-8"


@pytest.mark.guarantee("W-03")
@pytest.mark.parametrize(
    ("accept", "content_type", "body"),
    [
        ("text/event-stream", SSE, EVENTS),
        ("application/x-ndjson", "application/x-ndjson", LINES),
        ("application/jsonl", "application/jsonl", LINES),
        ("application/msgpack", "application/msgpack", VALUES),
        ("application/vnd.msgpack", "application/vnd.msgpack", VALUES),
        ("application/x-msgpack", "application/x-msgpack", VALUES),
        ("application/json", "application/json", ARRAY),
        ("*/*", "application/x-ndjson", LINES),
        (None, "application/x-ndjson", LINES),
    ],
)
async def test_the_answer_has_the_form_that_the_client_accepts(
    server: Server, accept: str | None, content_type: str, body: bytes
) -> None:
    connection = await server.ask("generic", [{"count": 2}], {"Accept": accept} if accept else {})
    answer = await connection.answer()
    assert (answer.status, answer.headers["content-type"], await answer.whole()) == (200, content_type, body)


@pytest.mark.guarantee("W-03")
@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("application/json;q=0.5, text/event-stream", SSE),
        ("application/json, text/event-stream;q=0.9", "application/json"),
        ("text/event-stream;q=0.2,application/msgpack;q=0.8, application/json; q=0.3", "application/msgpack"),
        ("text/event-stream;q=0, */*", "application/x-ndjson"),
        ("text/*", SSE),
        ("text/html, */*;q=0.1", "application/x-ndjson"),
        ("*/*;q=0.1, text/event-stream;q=0.5", SSE),
        ("TEXT/Event-Stream", SSE),
        ("text/event-stream; charset=utf-8", SSE),
        ("application/json;version=1;q=1", "application/json"),
        ("application/msgpack , text/html", "application/msgpack"),
    ],
)
async def test_weights_and_wildcards_choose_among_forms(one_server: Server, accept: str, content_type: str) -> None:
    response = await one_server.post("generic", [{"count": 1}], {"Accept": accept})
    assert (response.status_code, response.headers["content-type"]) == (200, content_type)


@pytest.mark.guarantee("W-03")
@pytest.mark.parametrize("accept", ["text/html", "image/*", "text/event-stream;q=0", "application/json;q=0.000"])
async def test_a_client_that_accepts_no_form_is_refused(one_server: Server, accept: str) -> None:
    response = await one_server.post("generic", [{"count": 1}], {"Accept": accept, "X-Request-Id": f"406-{accept}"})
    assert response.status_code == 406
    assert_refusal(response)
    assert not one_server.notes(f"406-{accept}")


@pytest.mark.guarantee("W-02")
@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        'application/json; charset="UTF-8"',
        "application/json; profile=x",
        "APPLICATION/JSON",
        "application/vnd.api+json",
        None,
    ],
)
async def test_a_body_is_json_by_name_by_suffix_and_without_a_name(
    one_server: Server, content_type: str | None
) -> None:
    async with await one_server.connect() as connection:
        headers = {"Content-Type": content_type} if content_type else {}
        await connection.request("POST", one_server.path("generic"), b'{"do": [{"count": 2}]}', headers)
        answer = await connection.answer()
        assert (answer.status, await answer.whole()) == (200, LINES)


@pytest.mark.guarantee("W-02")
@pytest.mark.parametrize("content_type", ["application/msgpack", "application/vnd.msgpack", "application/x-msgpack"])
async def test_a_body_of_messagepack_is_read_as_such(one_server: Server, content_type: str) -> None:
    body = msgpack.packb({"do": ["request"], "value": [1, "ä", None, 2.5]})
    headers = {"Content-Type": content_type, "Accept": "application/msgpack"}
    response = await one_server.post("generic", body, headers)
    assert (response.status_code, msgpack.unpackb(response.content)) == (200, {"value": [1, "ä", None, 2.5]})


@pytest.mark.guarantee("W-02")
@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/xml",
        "multipart/form-data; boundary=x",
        "nonsense",
    ],
)
async def test_a_body_of_another_type_is_refused_with_the_types_that_are_taken(
    one_server: Server, content_type: str
) -> None:
    response = await one_server.post("generic", [{"count": 1}], {"Content-Type": content_type})
    assert response.status_code == 415
    assert "application/json" in assert_refusal(response)["message"]


async def test_a_body_of_json_in_another_charset_is_refused(one_server: Server) -> None:
    response = await one_server.post("generic", [], {"Content-Type": "application/json; charset=latin-1"})
    assert response.status_code == 415
    assert "utf-8" in assert_refusal(response)["message"]


@pytest.mark.guarantee("W-27")
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
async def test_another_method_than_post_is_told_what_is_allowed(one_server: Server, method: str) -> None:
    async with one_server.client() as client:
        response = await client.request(method, one_server.url("generic", "/generate"))
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert_refusal(response)


@pytest.mark.guarantee("W-27")
@pytest.mark.parametrize("path", ["", "/", "/generate/", "/generat", "/generate/more", "/v1/chat/completions"])
async def test_an_unknown_path_is_not_found(one_server: Server, path: str) -> None:
    async with one_server.client() as client:
        response = await client.post(one_server.url("generic", path), json={"do": []})
    assert response.status_code == 404
    assert_refusal(response)


async def test_the_path_is_the_hosts_choice_and_a_query_belongs_to_none(one_server: Server) -> None:
    async with one_server.client() as client:
        found = await client.post(one_server.url("moved", "/api/run"), params={"a": "b"}, json={"do": [{"count": 2}]})
        missing = await client.post(one_server.url("moved", "/generate"), json={"do": []})
    assert (found.status_code, found.content, missing.status_code) == (200, LINES, 404)


@pytest.mark.guarantee("W-28")
async def test_pages_are_there_only_where_they_are_switched_on(server: Server) -> None:
    async with server.client() as client:

        async def page(method: str, service: str, path: str) -> tuple[int, str, str]:
            response = await client.request(method, server.url(service, path))
            return response.status_code, response.headers.get("content-type", ""), response.text

        status, kind, live = await page("GET", "generic", "/health/live")
        assert (status, kind) == (200, "application/json")
        assert json.loads(live).keys() == {"status", "loop_stalled_ms"}
        assert json.loads(live)["status"] == "ok"
        assert await page("GET", "generic", "/health/ready") == (200, "application/json", '{"status":"ready"}')
        status, kind, text = await page("GET", "generic", "/metrics")
        assert (status, kind) == (200, "text/plain; version=0.0.4")
        assert 'pybridge_streams_live{engine="generic"} 0\n' in text
        for path in ("/health/live", "/health/ready", "/metrics"):
            head = await page("HEAD", "generic", path)
            assert (head[0], head[2]) == (200, "")
            assert (await page("POST", "generic", path))[0] == 405
            assert (await page("GET", "hasty", path))[0] == 404


@pytest.mark.guarantee("W-30")
async def test_an_answer_to_head_has_no_body_and_the_connection_goes_on(server: Server) -> None:
    async with await server.connect() as connection:
        for path, status in (("/health/live", 200), ("/generate", 405), ("/nothing", 404), ("/metrics", 200)):
            await connection.request("HEAD", server.path("generic", path))
            assert (await connection.answer()).status == status
        await connection.request("GET", server.path("generic", "/health/ready"))
        assert await (await connection.answer()).whole() == b'{"status":"ready"}'


@pytest.mark.guarantee("W-04")
@pytest.mark.parametrize(
    ("accept", "content_type", "body"),
    [
        ("*/*", "application/json", b'{"n":1}'),
        ("application/json", "application/json", b'{"n":1}'),
        ("text/event-stream", SSE, b'data: {"n":1}\n\n'),
        ("application/x-ndjson", "application/x-ndjson", b'{"n":1}\n'),
        ("application/msgpack", "application/msgpack", msgpack.packb({"n": 1})),
    ],
)
async def test_a_handler_of_one_value_answers_with_that_value(
    one_server: Server, accept: str, content_type: str, body: bytes
) -> None:
    response = await one_server.post("unary", [{"count": 2}], {"Accept": accept})
    assert (response.status_code, response.headers["content-type"], response.content) == (200, content_type, body)


async def test_a_value_of_none_is_null(one_server: Server) -> None:
    assert (await one_server.post("unary", [])).content == b"null"


@pytest.mark.parametrize(
    ("accept", "content_type", "body"),
    [
        ("*/*", "application/x-ndjson", b"one\ntwo\n"),
        ("application/x-ndjson", "application/x-ndjson", b"one\ntwo\n"),
        ("text/event-stream", SSE, b"data: one\n\ndata: two\n\n"),
        ("text/plain", "text/plain; charset=utf-8", b"onetwo"),
        ("application/octet-stream", "application/octet-stream", b"onetwo"),
    ],
)
async def test_a_raw_engine_gets_and_gives_bytes_of_any_type(
    one_server: Server, accept: str, content_type: str, body: bytes
) -> None:
    headers = {"Accept": accept, "Content-Type": "application/x-anything"}
    response = await one_server.post("raw", [{"yield": "one"}, {"yield": "two"}], headers)
    assert (response.status_code, response.headers["content-type"], response.content) == (200, content_type, body)


async def test_a_raw_engine_has_no_form_for_json(one_server: Server) -> None:
    response = await one_server.post("raw", [{"yield": "one"}], {"Accept": "application/json"})
    assert response.status_code == 406


async def test_a_stream_without_items_is_an_empty_answer(server: Server) -> None:
    async def body(accept: str) -> bytes:
        response = await server.post("generic", [], {"Accept": accept})
        assert response.status_code == 200
        return response.content

    kinds = ("text/event-stream", "application/x-ndjson", "application/msgpack", "application/json")
    assert await asyncio.gather(*map(body, kinds)) == [b"", b"", b"", b"[]"]


@pytest.mark.guarantee("W-26")
async def test_heads_of_streams_keep_proxies_from_holding_them_back(server: Server) -> None:
    for accept in ("text/event-stream", "application/x-ndjson", "application/msgpack"):
        connection = await server.ask("generic", [{"count": 2, "each": 0.05}], {"Accept": accept})
        answer = await connection.answer()
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["x-accel-buffering"] == "no"
        assert "content-length" not in answer.headers
        await answer.whole()


async def test_an_answer_that_is_whole_when_its_head_goes_out_has_its_length(server: Server) -> None:
    for accept in ("text/event-stream", "application/x-ndjson", "application/json"):
        lengths = set()
        # On a busy machine the head may go before the handler has ended.
        for _ in range(20):
            answer = await server.stream("generic", [{"yield": 1}], {"Accept": accept})
            body = await answer.whole()
            lengths.add(answer.headers.get("content-length"))
            assert lengths <= {None, str(len(body))}
        assert lengths != {None}


async def test_flush_interval_gathers_what_lies_between_the_first_chunk_and_the_end(one_server: Server) -> None:
    begun = time.monotonic()
    connection = await one_server.ask("gathered", [{"count": 30, "each": 0.01}], {"Accept": "text/event-stream"})
    answer = await connection.answer()
    sizes: list[int] = []
    while await answer.piece() is not None:
        sizes.append(len(answer.received) - sum(sizes))
    assert answer.received == b"".join(b'data: {"n":%d}\n\n' % number for number in range(30))
    assert sizes[0] == len(b'data: {"n":0}\n\n')
    assert len(sizes) <= 3 + (time.monotonic() - begun) / 0.2


def assert_refusal(response: Any) -> dict[str, Any]:
    """What an answer in JSON says of a request that was refused, with all its keys and the request's name."""
    assert response.headers["content-type"] == "application/json"
    error: dict[str, Any] = response.json()["error"]
    assert error.keys() == {"type", "message", "code", "param", "request_id"}
    assert error["request_id"] == response.headers["x-request-id"]
    return error
