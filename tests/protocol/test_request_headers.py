"""Headers of a request that reach the handler, and those that are refused."""

from __future__ import annotations

import re
from typing import Any

import pytest

from support.fronts import Server


async def told(server: Server, headers: dict[str, str], service: str = "generic") -> dict[str, Any]:
    """What the handler is told of a request with these headers; the name that the answer has agrees."""
    response = await server.post(service, ["context"], {"Accept": "application/json", **headers})
    assert response.status_code == 200, response.text
    (context,) = response.json()
    assert response.headers["x-request-id"] == context["id"]
    return dict(context)


@pytest.mark.guarantee("W-19")
async def test_a_request_has_the_name_that_its_sender_gave_it(server: Server) -> None:
    assert (await told(server, {"X-Request-Id": "order-7"}))["id"] == "order-7"


@pytest.mark.guarantee("W-22")
async def test_a_request_without_a_name_gets_one_of_its_own(one_server: Server) -> None:
    names = {(await told(one_server, {}))["id"] for _ in range(3)}
    assert len(names) == 3
    assert all(names)


@pytest.mark.guarantee("W-22")
@pytest.mark.parametrize(
    ("service", "headers", "body", "status"),
    [
        ("generic", {"Accept": "image/png"}, b"{}", 406),
        ("generic", {"Content-Type": "text/plain"}, b"{}", 415),
        ("generic", {"X-Request-Timeout": "soon"}, b"{}", 400),
        ("narrow", {}, b" " * 70_000, 413),
        ("nowhere", {}, b"{}", 404),
        ("generic", {}, b"{", 400),
        ("closed", {}, b"{}", 503),
    ],
)
async def test_refusals_have_a_name_too_given_or_made_up(
    one_server: Server, service: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    path = "/nothing" if service == "nowhere" else "/generate"
    service = "generic" if service == "nowhere" else service
    async with one_server.client() as client:
        headers = {"Content-Type": "application/json", **headers}
        url = one_server.url(service, path)
        without = await client.post(url, content=body, headers=headers)
        named = await client.post(url, content=body, headers={**headers, "X-Request-Id": "r-1"})
    assert (without.status_code, named.status_code) == (status, status)
    assert re.fullmatch("[0-9a-f]{16}", without.headers["x-request-id"]) or status in {400, 503}
    assert without.headers["x-request-id"] == without.json()["error"]["request_id"]
    assert named.headers["x-request-id"] == named.json()["error"]["request_id"] == "r-1"


@pytest.mark.guarantee("W-19")
async def test_trace_headers_reach_the_handler_unread(one_server: Server) -> None:
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    context = await told(one_server, {"traceparent": traceparent, "tracestate": "rojo=00f0,congo=t61r"})
    assert (context["traceparent"], context["tracestate"]) == (traceparent, "rojo=00f0,congo=t61r")


@pytest.mark.guarantee("W-19")
async def test_metadata_is_what_its_prefix_and_the_host_name_and_nothing_else(one_server: Server) -> None:
    sent = {
        "X-Meta-Tenant": "blue",
        "X-META-Trial": "yes",
        "baggage": "user=7",
        "X-Tenant": "passed",
        "Accept-Language": "de",
        "Authorization": "secret",
        "Cookie": "secret",
    }
    assert (await told(one_server, sent))["metadata"] == {
        "tenant": "blue",
        "trial": "yes",
        "baggage": "user=7",
        "x-tenant": "passed",
        "accept-language": "de",
    }


@pytest.mark.guarantee("W-20")
@pytest.mark.parametrize(
    "headers",
    [
        {"X-Request-Id": "x" * 300},
        {"traceparent": "x" * 2000},
        {"X-Request-Timeout": "soon"},
        {"X-Request-Timeout": "0"},
        {"X-Request-Timeout": "-1"},
        {"X-Request-Timeout": "nan"},
        {"X-Request-Timeout": "1s"},
        {"X-Meta-": "unnamed"},
        {"X-Meta-Long": "x" * 9000},
        {f"X-Meta-{number}": "x" for number in range(65)},
        {"X-Tenant": "x" * 9000},
    ],
    ids=lambda headers: f"{len(headers)}-{next(iter(headers))}-{len(next(iter(headers.values())))}",
)
async def test_a_header_that_cannot_be_used_is_refused_by_name(one_server: Server, headers: dict[str, str]) -> None:
    response = await one_server.post("generic", ["context"], headers)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (400, "invalid_header")
    assert error["param"] in {name.lower() for name in headers}


@pytest.mark.guarantee("W-20")
async def test_two_names_for_one_request_are_refused(one_server: Server) -> None:
    async with one_server.client() as client:
        headers = [("X-Request-Id", "a"), ("X-Request-Id", "b")]
        response = await client.post(one_server.url("generic", "/generate"), json={"do": []}, headers=headers)
    assert (response.status_code, response.json()["error"]["param"]) == (400, "x-request-id")


@pytest.mark.guarantee("W-21")
async def test_the_time_that_a_client_asks_for_is_the_handlers_and_at_most_the_hosts(one_server: Server) -> None:
    assert 1 < (await told(one_server, {"X-Request-Timeout": "2.5"}))["remaining"] <= 2.5
    assert (await told(one_server, {}))["remaining"] is None
    assert (await told(one_server, {"X-Request-Timeout": "100"}, "narrow"))["remaining"] <= 2


async def test_a_deadline_before_the_first_item_is_a_status(server: Server) -> None:
    answer = await server.stream("generic", ["wait"], {"X-Request-Timeout": "0.2", "X-Request-Id": "late"})
    assert (answer.status, answer.headers["x-should-retry"]) == (504, "false")
    error = await answer.error()
    assert (error["type"], error["code"]) == ("timeout_error", "deadline")
    await server.noted("late", "ended: deadline")


async def test_a_deadline_after_the_head_is_an_event(one_server: Server) -> None:
    headers = {"X-Request-Timeout": "0.6", "Accept": "text/event-stream"}
    answer = await one_server.stream("generic", [{"count": 1}, "wait"], headers)
    body, whole = await answer.body()
    assert (answer.status, whole) == (200, False)
    assert body.startswith(b'data: {"n":0}\n\nevent: error\ndata: {"error":{')
    assert b'"code":"deadline"' in body
