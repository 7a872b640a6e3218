"""A failure after the head is told in the body, where its form can, and the message never looks whole."""

from __future__ import annotations

import json

import httpx
import pytest

from support.fronts import Server
from support.waiting import until

FAILING = [{"count": 2}, {"raise": "a private text"}]


@pytest.mark.guarantee("W-09")
async def test_events_end_with_one_that_says_error_and_then_break_off(server: Server) -> None:
    answer = await server.stream("generic", FAILING, {"Accept": "text/event-stream", "X-Request-Id": "r-9"})
    body, whole = await answer.body()
    assert (answer.status, whole) == (200, False)
    items = 'data: {"n":0}\n\ndata: {"n":1}\n\n'
    assert body.decode().startswith(f"{items}event: error\ndata: ")
    event = body.decode().removeprefix(f"{items}event: error\ndata: ")
    assert event.endswith("}\n\n")
    assert json.loads(event)["error"] == {
        "type": "server_error",
        "message": "the handler failed",
        "code": "handler_error",
        "param": None,
        "request_id": "r-9",
    }


@pytest.mark.guarantee("W-09")
@pytest.mark.parametrize(
    ("accept", "items"),
    [("application/x-ndjson", b'{"n":0}\n{"n":1}\n'), ("application/msgpack", b"\x81\xa1n\0\x81\xa1n\1")],
)
async def test_lines_and_values_break_off_after_the_last_item(server: Server, accept: str, items: bytes) -> None:
    answer = await server.stream("generic", FAILING, {"Accept": accept})
    assert (answer.status, await answer.body()) == (200, (items, False))


@pytest.mark.guarantee("W-10")
async def test_a_client_of_httpx_gets_the_items_and_then_an_error(server: Server) -> None:
    lines: list[str] = []
    async with server.client() as client:
        url, body = server.url("generic", "/generate"), {"do": FAILING}
        with pytest.raises(httpx.RemoteProtocolError):
            async with client.stream("POST", url, json=body) as response:
                async for line in response.aiter_lines():
                    lines.append(line)  # noqa: PERF401 - what came before the failure counts
    assert lines == ['{"n":0}', '{"n":1}']


@pytest.mark.guarantee("W-23")
@pytest.mark.parametrize(
    ("step", "code", "message"),
    [
        ({"public": {"message": "it has left", "status": 410, "code": "gone"}}, "gone", "it has left"),
        ({"invalid": "no such voice"}, None, "no such voice"),
        ({"timeout": "a private text"}, "timeout", "the handler timed out"),
        ("unencodable", "encode_error", "an item could not be encoded"),
    ],
)
async def test_each_failure_after_the_head_is_told_by_its_code(
    one_server: Server, step: object, code: str | None, message: str
) -> None:
    answer = await one_server.stream("generic", [{"count": 1}, step], {"Accept": "text/event-stream"})
    body, whole = await answer.body()
    assert not whole
    error = json.loads(body.decode().rpartition("data: ")[2])["error"]
    assert (error["code"], error["message"]) == (code, message)


@pytest.mark.guarantee("W-23")
@pytest.mark.parametrize("before", [0, 1], ids=["before the head", "after the head"])
@pytest.mark.parametrize("kind", ["raise", "timeout"])
async def test_the_log_has_what_the_client_is_not_told(one_server: Server, kind: str, before: int) -> None:
    name, text = f"untold-{kind}-{before}", f"only the log has {kind} {before}"
    headers = {"Accept": "text/event-stream", "X-Request-Id": name}
    answer = await one_server.stream("generic", [{"count": before}, {kind: text}], headers)
    body, _ = await answer.body()
    assert b'"error"' in body
    assert text not in body.decode() + repr(answer.headers)

    def logged() -> str:
        """What the log has from the report of this request on."""
        return one_server.log.read_text().partition(f"request {name}: ")[2]

    await until(lambda: text in logged(), lambda: f"{text!r} in the log: {logged()!r}")


@pytest.mark.guarantee("W-04")
async def test_a_value_that_fails_is_a_500_in_each_form(one_server: Server) -> None:
    for accept in ("*/*", "text/event-stream", "application/x-ndjson"):
        response = await one_server.post("unary", FAILING, {"Accept": accept})
        assert response.status_code == 500


async def test_failures_leave_nothing_behind(server: Server) -> None:
    for accept in ("text/event-stream", "application/x-ndjson", "application/json"):
        await (await server.stream("generic", FAILING, {"Accept": accept})).body()
    await server.assert_nothing_left()
