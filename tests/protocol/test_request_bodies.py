"""Bodies of requests: their size, their pieces, their flaws, and connections that are used again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

from support.fronts import Server
from support.wire import Connection, chunked, head

LIMIT = 64 * 1024
"""`max_body` of the service `narrow`."""

BLOB = "0123456789abcdef" * 65536
BIG = json.dumps({"do": ["request"], "blob": BLOB}).encode()


def odd_pieces(data: bytes) -> Iterator[bytes]:
    """The bytes in pieces of 1 to some tens of thousands."""
    size = 1
    while data:
        yield data[:size]
        data = data[size:]
        size = size * 7 % 65_521


async def test_a_megabyte_comes_through_in_pieces_of_any_size_both_ways(server: Server) -> None:
    async def send(headers: dict[str, str], pieces: list[bytes]) -> None:
        async with await server.connect() as connection:
            headers = {"Content-Type": "application/json", "Accept": "application/json", **headers}
            await connection.send(head("POST", server.path("generic"), headers))
            for piece in pieces:
                await connection.send(piece)
            answer = await connection.answer()
            assert answer.status == 200
            assert json.loads(await answer.whole()) == [{"blob": BLOB}]

    whole = list(odd_pieces(BIG))
    in_chunks = [chunked(piece)[:-5] for piece in whole] + [b"0\r\n\r\n"]
    await asyncio.gather(
        send({"Content-Length": str(len(BIG))}, whole),
        send({"Transfer-Encoding": "chunked"}, in_chunks),
        send({"Content-Length": str(len(BIG))}, [BIG]),
    )


async def test_a_large_item_comes_through_in_each_form(server: Server) -> None:
    async def size(accept: str) -> int:
        response = await server.post("generic", BIG, {"Accept": accept})
        assert response.status_code == 200
        return response.content.count(b"0123456789abcdef")

    kinds = ("text/event-stream", "application/x-ndjson", "application/msgpack", "application/json")
    assert await asyncio.gather(*map(size, kinds)) == [65536] * 4


@pytest.mark.guarantee("W-16")
async def test_a_body_that_says_it_is_too_large_is_refused_before_it_comes(server: Server) -> None:
    async with await server.connect("narrow") as connection:
        await connection.send(head("POST", server.path("narrow"), {"Content-Length": str(LIMIT + 1)}))
        answer = await connection.answer()
        assert answer.status == 413


@pytest.mark.guarantee("W-16")
async def test_a_body_in_chunks_that_becomes_too_large_is_refused(server: Server) -> None:
    async with await server.connect("narrow") as connection:
        await connection.send(
            head("POST", server.path("narrow"), {"Transfer-Encoding": "chunked", "X-Request-Id": "413"})
        )
        await connection.send(chunked(b'{"do": [], "blob": "', b"x" * LIMIT, b'"}'))
        answer = await connection.answer()
        assert (answer.status, answer.headers["x-request-id"]) == (413, "413")
        assert (await answer.error())["code"] == "request_too_large"
        assert not server.notes("413")


@pytest.mark.guarantee("W-16")
async def test_a_body_as_large_as_allowed_is_taken(one_server: Server) -> None:
    body = b'{"do": [{"count": 1}], "blob": ""}'
    body = body[:-2] + b"x" * (LIMIT - len(body)) + body[-2:]
    assert (await one_server.post("narrow", body)).status_code == 200
    assert (await one_server.post("narrow", body[:-2] + b"x" + body[-2:])).status_code == 413


@pytest.mark.guarantee("W-17")
@pytest.mark.parametrize(
    ("body", "offset"),
    [(b'{"do": [}', 8), (b'{"do": 1', 8), (b"", 0), (b'{"do": []} more', 11), (b'{"do": ["\xff"]}', 9)],
)
async def test_a_body_that_is_no_json_is_refused_with_the_place(one_server: Server, body: bytes, offset: int) -> None:
    response = await one_server.post("generic", body)
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["code"]) == (400, "invalid_request_error", "decode_error")
    assert error["message"].startswith("the body of the request cannot be decoded: ")
    assert f"(at byte {offset})" in error["message"]


@pytest.mark.guarantee("W-17")
async def test_a_body_that_is_no_messagepack_is_refused(one_server: Server) -> None:
    response = await one_server.post("generic", b"\xc1", {"Content-Type": "application/msgpack"})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "decode_error")


@pytest.mark.guarantee("W-17")
async def test_a_body_over_a_limit_of_the_engine_is_refused_with_its_name(one_server: Server) -> None:
    body = b'{"do": [], "deep": ' + b"[" * 20 + b"]" * 20 + b"}"
    response = await one_server.post("narrow", body)
    assert response.status_code in {400, 413}
    assert "max_depth" in response.json()["error"]["message"]


@pytest.mark.guarantee("W-18")
async def test_a_body_that_never_comes_whole_calls_no_handler(server: Server) -> None:
    for leave in ("fin", "rst", "half_close"):
        async with await server.connect() as connection:
            headers = {"Content-Length": "100", "X-Request-Id": f"partial-{leave}"}
            await connection.send(head("POST", server.path("generic"), headers) + b'{"do": [')
            getattr(connection, leave)()
    await server.assert_nothing_left()
    for leave in ("fin", "rst", "half_close"):
        assert not server.notes(f"partial-{leave}")


@pytest.mark.guarantee("W-30")
async def test_a_connection_is_used_again_after_each_kind_of_answer(server: Server) -> None:
    asked = [
        ("generic", b'{"do": [{"count": 2}]}', {"Accept": "text/event-stream"}, 200),
        ("generic", b'{"do": [{"count": 2}]}', {"Accept": "application/json"}, 200),
        ("generic", b'{"do": [{"raise": "x"}]}', {}, 500),
        ("generic", b'{"do": [', {}, 400),
        ("generic", b'{"do": []}', {"Accept": "image/png"}, 406),
        ("unary", b'{"do": [{"count": 2}]}', {}, 200),
        ("closed", b'{"do": [{"count": 2}]}', {}, 503),
        ("hasty", b'{"do": [{"pause": 0.3}, {"count": 2}]}', {"Accept": "text/event-stream"}, 200),
        ("generic", b'{"do": [{"count": 2}]}', {}, 200),
    ]
    connections: dict[int, Connection] = {}
    for service, body, headers, status in asked:
        port = server.port_of(service)
        if port not in connections:
            connections[port] = await server.connect(service)
        await connections[port].request("POST", server.path(service), body, headers)
        answer = await connections[port].answer()
        assert answer.status == status
        await answer.whole()


async def test_a_request_that_follows_on_the_connection_does_not_end_the_one_before(server: Server) -> None:
    first = b'{"do": [{"count": 5, "each": 0.05}]}'
    async with await server.connect() as connection:
        await connection.request("POST", server.path("generic"), first, {"X-Request-Id": f"pipe-{server.front.name}"})
        await connection.request("POST", server.path("generic"), b'{"do": [{"yield": "second"}]}')
        bodies = [await (await connection.answer()).whole() for _ in range(2)]
    assert bodies == [b"".join(b'{"n":%d}\n' % number for number in range(5)), b'"second"\n']
    assert server.ending(f"pipe-{server.front.name}") == "ended: finished"


async def test_many_requests_at_once_each_get_their_own(server: Server) -> None:
    async def one(number: int) -> None:
        answer = await server.stream("generic", [{"yield": number}, {"count": 20}, {"yield": number}])
        lines = (await answer.whole()).splitlines()
        assert (lines[0], lines[-1], len(lines)) == (b"%d" % number, b"%d" % number, 22)
        answer.connection.fin()

    async with asyncio.TaskGroup() as tasks:
        for number in range(50):
            tasks.create_task(one(number))
