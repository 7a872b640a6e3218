"""The head waits for what the stream comes to, for a while; then it goes out and silence is filled."""

from __future__ import annotations

import asyncio
import json
import re
import time

import pytest

from support.fronts import Server

SSE = {"Accept": "text/event-stream"}


@pytest.mark.guarantee("W-05", "W-23")
async def test_a_failure_before_the_first_item_is_a_500_that_tells_nothing(server: Server) -> None:
    for accept in ("text/event-stream", "application/x-ndjson", "application/json", "application/msgpack"):
        headers = {"Accept": accept, "X-Request-Id": "r-7"}
        response = await server.post("generic", [{"raise": "a private text"}], headers)
        assert response.status_code == 500
        assert response.headers["x-should-retry"] == "false"
        assert response.headers["content-type"] == "application/json"
        assert response.json() == {
            "error": {
                "type": "server_error",
                "message": "the handler failed",
                "code": "handler_error",
                "param": None,
                "request_id": "r-7",
            }
        }
        assert "private" not in f"{response.headers} {response.text}"


@pytest.mark.guarantee("W-24")
async def test_a_public_error_is_answered_as_it_says(server: Server) -> None:
    public = {
        "message": "the seat is taken",
        "status": 409,
        "code": "taken",
        "headers": {"X-Seat": "7a", "Content-Type": "text/html", "Content-Length": "3"},
    }
    answer = await server.stream("generic", [{"public": public}])
    assert (answer.status, answer.headers["x-seat"]) == (409, "7a")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-should-retry"] == "false"
    error = await answer.error()
    assert (error["message"], error["code"], error["type"]) == ("the seat is taken", "taken", "invalid_request_error")


@pytest.mark.guarantee("W-05")
@pytest.mark.parametrize(
    ("step", "status", "code"),
    [
        ({"invalid": "no such voice"}, 400, None),
        ({"public": {"message": "slow down", "status": 429, "code": "quota", "retryable": True}}, 429, "quota"),
        ({"public": {"message": "away", "status": 503}}, 503, None),
        ({"timeout": "of the model"}, 504, "timeout"),
        ("unencodable", 500, "encode_error"),
    ],
)
async def test_each_failure_has_its_status_and_code(
    one_server: Server, step: object, status: int, code: str | None
) -> None:
    response = await one_server.post("generic", [step])
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


@pytest.mark.guarantee("W-25")
async def test_a_retryable_failure_may_be_tried_again(one_server: Server) -> None:
    public = {"message": "slow down", "status": 429, "retryable": True, "headers": {"Retry-After": "3"}}
    response = await one_server.post("generic", [{"public": public}])
    assert response.headers["retry-after"] == "3"
    assert "x-should-retry" not in response.headers


@pytest.mark.guarantee("W-25")
async def test_a_public_error_that_says_when_to_come_again_forbids_nothing(one_server: Server) -> None:
    for headers, forbids in (({"retry-AFTER": "3"}, False), ({"X-Other": "3"}, True)):
        public = {"message": "slow down", "status": 429, "headers": headers}
        response = await one_server.post("generic", [{"public": public}])
        assert response.status_code == 429
        assert ("x-should-retry" in response.headers) is forbids


@pytest.mark.guarantee("W-15")
async def test_a_full_engine_refuses_at_once_and_calls_no_handler(server: Server) -> None:
    holder = await server.stream("full", [{"count": 1}, "wait"], {"X-Request-Id": f"holds-{server.front.name}"})
    answer = await server.stream("full", [{"count": 1}], {"X-Request-Id": "refused"})
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    error = await answer.error()
    assert (error["type"], error["code"]) == ("unavailable_error", "overloaded")
    assert not server.notes("refused")
    holder.connection.fin()
    await server.noted(f"holds-{server.front.name}", "ended: client")


@pytest.mark.guarantee("W-15")
async def test_a_closed_engine_says_that_another_may_take_the_call(one_server: Server) -> None:
    response = await one_server.post("closed", [{"count": 1}])
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert response.json()["error"]["code"] == "engine_closed"


@pytest.mark.guarantee("W-06")
async def test_the_head_goes_out_when_nothing_came_for_a_while(server: Server) -> None:
    begun = time.monotonic()
    connection = await server.ask("hasty", ["wait"], {**SSE, "X-Request-Id": "hasty"})
    async with connection:
        answer = await connection.answer()
        assert answer.status == 200
        assert time.monotonic() - begun >= 0.1
        body = await answer.until(b": ka\n" * 3)
        assert not body.replace(b": ka\n", b"")
    await server.noted("hasty", "ended: client")


@pytest.mark.guarantee("W-07")
async def test_silence_is_filled_with_comments_that_are_no_events(one_server: Server) -> None:
    do = [{"pause": 0.5}, {"count": 2}, {"pause": 0.3}, {"count": 1}]
    answer = await one_server.stream("hasty", do, SSE)
    body = (await answer.whole()).decode()
    events = ['data: {"n":0}\n\ndata: {"n":1}\n\n', 'data: {"n":0}\n\n']
    assert re.fullmatch(r"(: ka\n)+" + re.escape(events[0]) + r"(: ka\n)+" + re.escape(events[1]), body), body


@pytest.mark.guarantee("W-07")
async def test_comments_cut_no_event_in_two(one_server: Server) -> None:
    """Items come just when silence is to be filled."""
    answer = await one_server.stream("hasty", [{"count": 8, "each": 0.1}], SSE)
    lines = (await answer.whole()).decode().splitlines(keepends=True)
    said = "".join(line for line in lines if line != ": ka\n")
    assert said == "".join(f'data: {{"n":{number}}}\n\n' for number in range(8))
    comments = [number for number, line in enumerate(lines) if line == ": ka\n"]
    assert all(number == 0 or lines[number - 1] in {"\n", ": ka\n"} for number in comments), lines


@pytest.mark.guarantee("W-07")
async def test_only_events_have_comments_and_only_where_they_are_wanted(one_server: Server) -> None:
    async def body(service: str, accept: str) -> bytes:
        answer = await one_server.stream(service, [{"pause": 0.5}, {"count": 1}], {"Accept": accept})
        assert answer.status == 200
        return await answer.whole()

    bodies = await asyncio.gather(
        body("hasty", "application/x-ndjson"),
        body("hasty", "application/msgpack"),
        body("hasty", "application/json"),
        body("quiet", "text/event-stream"),
        body("generic", "text/event-stream"),
    )
    assert list(bodies) == [b'{"n":0}\n', b"\x81\xa1n\x00", b'[{"n":0}]', b'data: {"n":0}\n\n', b'data: {"n":0}\n\n']


async def test_a_failure_after_the_head_went_out_early_is_an_event(server: Server) -> None:
    answer = await server.stream("hasty", [{"pause": 0.4}, {"raise": "a private text"}], SSE)
    assert answer.status == 200
    body, whole = await answer.body()
    assert not whole
    comments, _, event = body.decode().partition("event: error\n")
    assert re.fullmatch(r"(: ka\n)+", comments)
    assert json.loads(event.removeprefix("data: "))["error"]["code"] == "handler_error"
    assert "private" not in event


@pytest.mark.guarantee("W-11")
async def test_a_buffered_answer_waits_for_its_real_status(one_server: Server) -> None:
    """However late the failure comes, and whatever came before it."""
    failing = [{"count": 3}, {"pause": 0.4}, {"raise": "x"}]
    answer = await one_server.stream("hasty", failing, {"Accept": "application/json"})
    assert answer.status == 500
    assert (await answer.error())["code"] == "handler_error"
    whole = await one_server.stream("hasty", [{"count": 2}, {"pause": 0.4}], {"Accept": "application/json"})
    assert (whole.status, await whole.whole()) == (200, b'[{"n":0},{"n":1}]')


@pytest.mark.guarantee("W-08")
async def test_an_item_leaves_while_the_handler_waits_for_the_next(server: Server) -> None:
    for accept, first in (("text/event-stream", b'data: {"n":0}\n\n'), ("application/x-ndjson", b'{"n":0}\n')):
        async with await server.ask("generic", [{"count": 1}, "wait"], {"Accept": accept}) as connection:
            answer = await connection.answer()
            assert await answer.until(first) == first
    await server.assert_nothing_left()
