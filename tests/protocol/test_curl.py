"""Answers as curl sees them: items as they come, and exit statuses that tell a failure."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from support import skips
from support.fronts import Server

HTTP_ERROR = 22
"""curl's exit status for an answer of 400 and above, where it was asked to fail."""

PARTIAL = {18, 92}
"""curl's exit statuses for a message that breaks off, in HTTP/1.1 and HTTP/2."""


async def curl(server: Server, do: list[Any], *options: str) -> tuple[int | None, str]:
    """Its exit status and what it printed."""
    process = await start(server, do, *options)
    printed = await process.stdout.read() if process.stdout else b""
    return await process.wait(), printed.decode()


async def start(server: Server, do: list[Any], *options: str) -> asyncio.subprocess.Process:
    skips.without_curl()
    process = await asyncio.create_subprocess_exec(
        *("curl", "--silent", "--noproxy", "*", "--json", "@-", *options, server.url("generic", "/generate")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    if process.stdin:
        process.stdin.write(json.dumps({"do": do}).encode())
        process.stdin.close()
    return process


@pytest.mark.guarantee("W-08")
async def test_curl_prints_items_as_they_come(server: Server) -> None:
    accept = ("-N", "-H", "Accept: text/event-stream", "-H", "X-Request-Id: curl-streams")
    process = await start(server, [{"count": 2}, "wait"], *accept)
    assert process.stdout
    lines = [await process.stdout.readline() for _ in range(4)]
    assert b"".join(lines) == b'data: {"n":0}\n\ndata: {"n":1}\n\n'
    process.terminate()
    await process.communicate()
    await server.noted("curl-streams", "ended: client")


@pytest.mark.guarantee("W-09")
async def test_curl_exits_with_zero_only_for_a_whole_answer(server: Server) -> None:
    lines = ("-H", "Accept: application/x-ndjson")
    assert await curl(server, [{"count": 2}], "-N", "--fail-with-body", *lines) == (0, '{"n":0}\n{"n":1}\n')
    status, printed = await curl(server, [{"count": 2}, {"raise": "x"}], "-N", "--fail-with-body", *lines)
    assert status in PARTIAL
    assert printed == '{"n":0}\n{"n":1}\n'


async def test_curl_fails_with_the_error_in_the_body(server: Server) -> None:
    status, printed = await curl(server, [{"raise": "a private text"}], "-N", "--fail-with-body")
    assert (status, json.loads(printed)["error"]["code"]) == (HTTP_ERROR, "handler_error")


async def test_curl_sends_a_large_body_after_it_was_told_to_go_on(server: Server) -> None:
    """It asks with `Expect: 100-continue`."""
    blob = {"yield": "x" * 200_000}
    expect = ("-H", "Expect: 100-continue", "--expect100-timeout", "5")
    assert await curl(server, [blob], *expect) == (0, json.dumps([blob["yield"]]))


async def test_curl_of_http2_streams(http2_server: Server) -> None:
    options = ("-N", "--http2-prior-knowledge", "-H", "Accept: text/event-stream")
    assert await curl(http2_server, [{"count": 2}], *options) == (0, 'data: {"n":0}\n\ndata: {"n":1}\n\n')
