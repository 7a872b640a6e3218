"""Streams of one HTTP/2 connection end by themselves, and are broken off by themselves."""

from __future__ import annotations

import pytest

from support.fronts import Server
from support.wire2 import Connection2

SSE = {"Accept": "text/event-stream"}


@pytest.mark.guarantee("W-13")
async def test_streams_that_are_reset_end_their_handlers_and_the_others_go_on(http2_server: Server) -> None:
    server = http2_server
    async with Connection2(server.port) as connection:
        numbers = []
        for index in range(10):
            do = [{"count": 1}, "wait"] if index % 2 else [{"count": 60, "each": 0.02}]
            numbers.append(connection.ask(server.path("generic"), do, {**SSE, "X-Request-Id": f"h2-{index}"}))
        await connection.until(lambda: all(connection.streams[number].body for number in numbers))
        for index in range(1, 10, 2):
            connection.reset(numbers[index])
        for index in range(1, 10, 2):
            await server.noted(f"h2-{index}", "ended: client")
        await connection.until(lambda: all(connection.streams[number].ended for number in numbers[::2]))
    for index in range(0, 10, 2):
        assert connection.streams[numbers[index]].body.count(b"data: ") == 60
        await server.noted(f"h2-{index}", "ended: finished")


@pytest.mark.guarantee("W-13")
async def test_a_stream_that_is_reset_before_its_head_or_while_gathered_ends_its_handler(http2_server: Server) -> None:
    server = http2_server
    async with Connection2(server.port) as connection:
        for accept in ("text/event-stream", "application/json"):
            name = f"h2-{accept}"
            number = connection.ask(server.path("generic"), ["wait"], {"Accept": accept, "X-Request-Id": name})
            await server.noted(name, "begun")
            connection.reset(number)
            await server.noted(name, "ended: client")
        number = connection.ask(server.path("generic"), [{"count": 1}], SSE)
        await connection.until(lambda: connection.streams[number].ended)
        assert connection.streams[number].status == 200


@pytest.mark.guarantee("W-05")
async def test_a_failure_before_the_head_has_its_status(http2_server: Server) -> None:
    async with Connection2(http2_server.port) as connection:
        number = connection.ask(http2_server.path("generic"), [{"raise": "x"}], SSE)
        await connection.until(lambda: connection.streams[number].ended)
    assert connection.streams[number].status == 500


async def test_a_failure_after_the_head_is_an_event(http2_server: Server) -> None:
    async with Connection2(http2_server.port) as connection:
        number = connection.ask(http2_server.path("generic"), [{"count": 1}, {"raise": "x"}], SSE)
        await connection.until(lambda: b"event: error" in connection.streams[number].body)
    assert connection.streams[number].body.startswith(b'data: {"n":0}\n\nevent: error\ndata: {')


@pytest.mark.guarantee("W-09")
async def test_a_failure_after_the_head_resets_its_stream_and_no_other(http2_server: Server) -> None:
    async with Connection2(http2_server.port) as connection:
        other = connection.ask(http2_server.path("generic"), [{"count": 20, "each": 0.02}], SSE)
        number = connection.ask(http2_server.path("generic"), [{"count": 1}, {"raise": "x"}])
        await connection.until(lambda: connection.streams[other].ended)
        assert connection.streams[number].body == b'{"n":0}\n'
        assert connection.streams[number].reset
    assert not connection.streams[number].ended
