"""Guards and logs of a service that others reach: keys, origins, proxies, and a line for each request."""

from __future__ import annotations

import json
import socket
import struct

import pytest

from support.serving import Program, Starter
from support.waiting import wait_until
from support.wire import head

QUIET = ("--log-level", "warning")
"""Nothing but the access log is on standard error."""


def logged(program: Program, number: int) -> list[str]:
    """So many lines of its access log."""
    wait_until(lambda: program.err.count("\n") >= number, lambda: f"{number} lines in:\n{program.err}")
    return program.err.splitlines()


@pytest.mark.guarantee("D-18")
def test_clients_need_one_of_the_keys_of_the_environment(serve: Starter) -> None:
    keys = {"FIRST": "one two", "SECOND": "three,four"}
    program = serve("app:echo", "--port", "0", "--api-key-env", "FIRST", "--api-key-env", "SECOND", environment=keys)
    for key in ("one", "two", "three", "four"):
        assert program.post(1, headers={"Authorization": f"Bearer {key}"}).status_code == 200
        assert program.post(1, headers={"X-API-Key": key}).status_code == 200
    refused = program.post(1, headers={"Authorization": "Bearer five"})
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert program.post(1).status_code == 401
    assert program.get("/metrics").status_code == 401
    assert program.get("/metrics", headers={"X-API-Key": "one"}).status_code == 200
    assert program.get("/health/ready").status_code == 200


@pytest.mark.guarantee("D-19")
def test_pages_of_these_origins_may_ask(serve: Starter) -> None:
    program = serve(
        "app:echo", "--port", "0", "--cors-origin", "https://a.example", "--cors-origin", "https://b.example"
    )
    for origin, allowed in {"https://b.example": "https://b.example", "https://c.example": None}.items():
        answer = program.post(1, headers={"Origin": origin})
        assert answer.headers.get("access-control-allow-origin") == allowed


@pytest.mark.guarantee("D-21")
@pytest.mark.parametrize("proxies", ["127.0.0.1", "10.0.0.0/8, 127.0.0.0/8", "*"])
def test_an_access_log_of_json_names_the_client_behind_the_proxies(serve: Starter, proxies: str) -> None:
    program = serve("app:echo", "--port", "0", *QUIET, "--access-log", "json", "--forwarded-allow-ips", proxies)
    program.post({"a": 1}, headers={"X-Forwarded-For": "192.0.2.9", "X-Request-Id": "r-1"})
    (line,) = logged(program, 1)
    entry = json.loads(line)
    assert (entry["client"], entry["status"], entry["items"]) == ("192.0.2.9", 200, 1)
    assert "r-1" in line


def test_a_client_that_resets_its_connection_cannot_say_who_it_is(serve: Starter) -> None:
    program = serve("app:echo", "--port", "0", *QUIET, "--access-log", "json", "--forwarded-allow-ips", "10.0.0.0/8")
    request = head("POST", "/generate", {"X-Forwarded-For": "192.0.2.9", "Content-Length": "9"})
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", program.port)) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sendall(request)
    program.post(1)
    program.signal().ended(0)
    clients = {json.loads(line)["client"] for line in program.err.splitlines() if line.startswith("{")}
    assert clients == {"127.0.0.1"}


@pytest.mark.guarantee("D-22")
def test_an_access_log_of_text_has_a_line_for_each_request(serve: Starter) -> None:
    program = serve("app:echo", "--port", "0", *QUIET, "--access-log", "text")
    assert program.post(1).status_code == 200
    assert program.post(1, "/nowhere").status_code == 404
    first, second = logged(program, 2)
    assert '"POST /generate HTTP/1.1" 200' in first
    assert '"POST /nowhere HTTP/1.1" 404' in second
    program.signal().ended(0)


@pytest.mark.guarantee("D-22")
def test_the_last_lines_are_written_before_the_end(serve: Starter) -> None:
    program = serve("app:echo", "--port", "0", *QUIET, "--access-log", "text")
    for _ in range(50):
        program.post(1)
    program.signal().ended(0)
    assert len(program.err.splitlines()) == 50
