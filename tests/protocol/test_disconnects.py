"""A client that goes away cancels its handler with the reason `client`, wherever both stand."""

from __future__ import annotations

import asyncio
import json
import random
import time
from typing import Any

import pytest

from support.fronts import Server
from support.wire import Connection, head

SSE = {"Accept": "text/event-stream"}
PROMPT = 5.0
"""Seconds within which a handler's cleanup begins, on any machine; `bench` measures how soon."""

WAYS = ("fin", "rst", "half_close")


async def gone(server: Server, connection: Connection, way: str, request_id: str) -> None:
    """Leaves in this way, and waits for the end of the handler."""
    async with connection:
        left_at = time.monotonic()
        getattr(connection, way)()
        ended_at = await server.noted(request_id, "ended: client")
        assert ended_at - left_at < PROMPT


@pytest.mark.guarantee("W-12")
@pytest.mark.parametrize("way", WAYS)
async def test_a_client_that_goes_before_the_first_item_ends_the_handler(server: Server, way: str) -> None:
    name = f"before-{way}"
    connection = await server.ask("generic", ["wait"], {"X-Request-Id": name})
    await server.noted(name, "begun")
    await gone(server, connection, way, name)


@pytest.mark.guarantee("W-12")
@pytest.mark.parametrize("way", WAYS)
async def test_a_client_that_goes_between_items_ends_the_handler(server: Server, way: str) -> None:
    name = f"between-{way}"
    connection = await server.ask("generic", [{"count": 3}, "wait"], {"X-Request-Id": name})
    await (await connection.answer()).until(b'{"n":2}\n')
    await gone(server, connection, way, name)


@pytest.mark.guarantee("W-12")
@pytest.mark.parametrize("way", WAYS)
async def test_a_client_that_goes_while_its_answer_is_gathered_ends_the_handler(server: Server, way: str) -> None:
    name = f"gathered-{way}"
    do = [{"count": 3}, {"note": "gathering"}, "wait"]
    connection = await server.ask("generic", do, {"X-Request-Id": name, "Accept": "application/json"})
    await server.noted(name, "gathering")
    await gone(server, connection, way, name)


@pytest.mark.guarantee("W-12")
@pytest.mark.parametrize("way", WAYS)
async def test_a_client_that_goes_while_silence_is_filled_ends_the_handler(server: Server, way: str) -> None:
    name = f"silent-{way}"
    connection = await server.ask("hasty", ["wait"], {**SSE, "X-Request-Id": name})
    await (await connection.answer()).until(b": ka\n")
    await gone(server, connection, way, name)


@pytest.mark.guarantee("W-12")
@pytest.mark.parametrize("way", ["fin", "rst"])
async def test_a_client_that_read_nothing_and_goes_ends_the_handler_parked_at_its_yield(
    server: Server, way: str
) -> None:
    name = f"parked-{way}"
    connection = await server.ask("generic", [{"flood": 65536}], {"X-Request-Id": name}, receive_buffer=4096)
    await server.noted(name, "parked")
    await gone(server, connection, way, name)


@pytest.mark.guarantee("W-14")
async def test_a_client_that_reads_slowly_makes_its_handler_wait_and_nobody_elses(server: Server) -> None:
    name = f"slow-{server.front.name}"
    slow = await server.ask("generic", [{"flood": 65536}], {"X-Request-Id": name}, receive_buffer=4096)
    async with slow:
        await server.noted(name, "parked")
        assert (await server.post("generic", [{"count": 2}])).status_code == 200
    await server.noted(name, "ended: client")
    await server.assert_nothing_left()


async def test_a_stream_of_a_client_that_stays_is_not_ended_by_others_that_go(server: Server) -> None:
    stays = await server.stream("generic", [{"count": 20, "each": 0.02}], SSE)
    for number in range(10):
        connection = await server.ask("generic", [{"count": 1}, "wait"], {"X-Request-Id": f"other-{number}"})
        await (await connection.answer()).until(b"\n")
        connection.rst()
    assert (await stays.whole()).count(b"data: ") == 20
    for number in range(10):
        await server.noted(f"other-{number}", "ended: client")


RANDOM_STEPS: tuple[list[Any], ...] = (
    ["wait"],
    [{"count": 3}, "wait"],
    [{"count": 200, "each": 0.002}],
    [{"count": 5000}],
    [{"flood": 65536}],
    [{"flood": 100}],
    [{"count": 3}, {"raise": "x"}],
    [],
)
RANDOM_KINDS = ("text/event-stream", "application/x-ndjson", "application/json", "application/msgpack")


async def leaves_somewhere(server: Server, dice: random.Random, name: str) -> float:
    """One client that goes away at any byte of its request or of the answer, or at any time; gives the time."""
    do, accept, way = dice.choice(RANDOM_STEPS), dice.choice(RANDOM_KINDS), dice.choice(WAYS)
    if accept == "application/json" and "flood" in str(do):
        do = ["wait"]  # what is gathered is bounded, but no test need fill it
    service = dice.choice(("generic", "hasty"))
    body = json.dumps({"do": do}).encode()
    headers = {"X-Request-Id": name, "Accept": accept, "Content-Length": str(len(body))}
    request = head("POST", server.path(service), headers) + body
    async with await server.connect(service, dice.choice((None, 4096))) as connection:
        if dice.random() < 0.2:
            request = request[: dice.randrange(len(request))]
        await connection.send(request)
        try:
            async with asyncio.timeout(dice.choice((0, 0.01, 0.1, 0.3)) * dice.random()):
                await connection.reader.readexactly(dice.choice((1, 100, 1000, 1_000_000)))
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            pass
        if way == "half_close" and "flood" in str(do):
            way = "rst"  # a client that may still read is not gone
        getattr(connection, way)()
    return time.monotonic()


@pytest.mark.guarantee("W-12")
@pytest.mark.timeout(300)
async def test_clients_that_go_at_any_point_leave_nothing_behind(
    server: Server, request: pytest.FixtureRequest
) -> None:
    dice = random.Random(15)
    together = asyncio.Semaphore(20)

    async def one(number: int) -> None:
        async with together:
            left_at[names[number]] = await leaves_somewhere(server, dice, names[number])

    left_at: dict[str, float] = {}
    names = [f"random-{number}" for number in range(request.config.getoption("disconnects"))]
    async with asyncio.TaskGroup() as tasks:
        for number in range(len(names)):
            tasks.create_task(one(number))
    await server.assert_nothing_left()
    notes = {name: events for name, events in server.all_notes().items() if name in left_at}
    assert all(any(event.startswith("ended: ") for event in events) for events in notes.values()), notes
    endings = {event for events in notes.values() for event in events if event.startswith("ended: ")}
    assert {"ended: client", "ended: finished"} <= endings <= {"ended: client", "ended: finished", "ended: ValueError"}
    late = {
        name: events["ended: client"] - left_at[name] for name, events in notes.items() if "ended: client" in events
    }
    assert max(late.values()) < PROMPT, late
    assert (await server.post("generic", [{"count": 1}])).status_code == 200
