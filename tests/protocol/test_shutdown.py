"""Live streams under servers that are told to stop, as far as their end is ours."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from support.fronts import CANNOT, FRONTS, Front, Server
from support.waiting import until
from support.wire import Answer, Loop

SERVE = ("pybridge", "serve", "support.served.bare:engine", "--port", "{port}", "--drain-timeout", "2")
STOPPED = {name: front for name, front in FRONTS.items() if front.kind == "asgi"} | {
    "pybridge": Front("pybridge", SERVE, kind="serve")
}
FINITE = [{"count": 20, "each": 0.02}]
ENDLESS = [{"count": 1}, "wait"]
NAMES = ("first", "second")


@dataclass
class Stopped:
    """What came of the streams of a server that was told to stop while they lived."""

    server: Server
    finite: list[tuple[bytes, bool]] = field(default_factory=list)
    endless: list[tuple[bytes, bool]] = field(default_factory=list)
    told: list[str | None] = field(default_factory=list)

    async def run(self) -> None:
        """Begins the streams, tells the server to stop, and waits for its end."""
        finite = [await self.stream(FINITE, f"finite-{name}") for name in NAMES]
        endless = [await self.stream(ENDLESS, f"endless-{name}") for name in NAMES]
        self.server.process.send_signal(signal.SIGTERM)
        self.finite = list(await asyncio.gather(*(answer.body() for answer in finite)))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(12):
                self.endless = list(await asyncio.gather(*(answer.body() for answer in endless)))
                await until(lambda: self.server.process.poll() is not None, f"{self.server.front.name} is gone")
        self.told = self.endings("endless")  # before the clients go, of which handlers are told as well

    async def stream(self, do: list[Any], name: str) -> Answer:
        """A stream whose head has come."""
        connection = await self.server.connect()
        headers = {"X-Request-Id": name, "Accept": "text/event-stream"}
        await connection.request("POST", "/generate", json.dumps({"do": do}).encode(), headers)
        return await connection.answer()

    def endings(self, kind: str) -> list[str | None]:
        """How the handlers of these streams ended; None: they were not told."""
        return [self.server.ending(f"{kind}-{name}") for name in NAMES]


@pytest.fixture(scope="module")
def all_stopped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Stopped]]:
    """Servers of their own with one engine to serve, all stopped at once; they wait two seconds."""

    async def run() -> None:
        async with asyncio.TaskGroup() as tasks:
            for stopped in servers.values():
                tasks.create_task(stopped.run())

    servers: dict[str, Stopped] = {}
    try:
        for name, front in STOPPED.items():
            servers[name] = Stopped(Server.start(front, tmp_path_factory.mktemp(name), "support.served.bare:app"))
        with asyncio.Runner(loop_factory=Loop) as runner:
            runner.run(asyncio.wait_for(run(), 20))
        yield servers
    finally:
        for stopped in servers.values():
            stopped.server.stop()


@pytest.fixture(params=STOPPED)
def stopped(request: pytest.FixtureRequest, all_stopped: dict[str, Stopped]) -> Stopped:
    """A server that was told to stop."""
    if reason := CANNOT.get((request.param, request.node.originalname)):
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
    return all_stopped[request.param]


@pytest.mark.guarantee("W-38")
def test_streams_that_end_in_time_end_whole(stopped: Stopped) -> None:
    assert [(body.count(b"data: "), whole) for body, whole in stopped.finite] == [(20, True)] * 2
    assert stopped.endings("finite") == ["ended: finished"] * 2


@pytest.mark.guarantee("W-38")
def test_streams_that_do_not_end_in_time_break_off(stopped: Stopped) -> None:
    assert stopped.server.process.poll() is not None
    assert [whole for _, whole in stopped.endless] == [False] * 2


@pytest.mark.guarantee("W-38")
def test_handlers_that_do_not_end_in_time_are_told_and_clean_up(stopped: Stopped) -> None:
    assert all(stopped.told), stopped.server.log.read_text()


@pytest.mark.guarantee("W-28")
async def test_an_engine_that_takes_no_calls_is_alive_and_not_ready(one_server: Server) -> None:
    async with one_server.client() as client:
        ready = await client.get(one_server.url("closed", "/health/ready"))
        live = await client.get(one_server.url("closed", "/health/live"))
    assert (ready.status_code, ready.json()) == (503, {"status": "draining"})
    assert (live.status_code, live.json()["status"]) == (200, "ok")
