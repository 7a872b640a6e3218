"""The servers under which the protocol is tested, and a server that runs."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import random
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai

from support.leaks import left
from support.waiting import until, wait_until
from support.wire import Answer, Connection

TESTS = Path(__file__).parents[1]
APP = "support.served.app:app"
PORTS = range(20_000, 32_000)
"""Below the ports that systems give to clients, so that none is taken between its choice and its use."""

GRANIAN = ("granian", "{app}", "--interface", "asgi", "--port", "{port}", "--log-level", "warning")
HYPERCORN = ("hypercorn", "{app}", "--bind", "127.0.0.1:{port}", "--log-level", "warning", "--graceful-timeout", "2")
UVICORN = ("uvicorn", "{app}", "--port", "{port}", "--log-level", "warning", "--timeout-graceful-shutdown", "2")


@dataclass(frozen=True)
class Front:
    """A server in front of the protocol layer.

    Attributes:
        command: The arguments of Python's `-m` that start it; `{app}` is what it serves, `{port}` where.
        kind: What turns the server's requests into the layer's: an application of ASGI's with all services below paths
            of their own (`"asgi"`), or our server, one for each service on ports of their own (`"serve"`). The first
            front of a kind stands for it where the server makes no difference.
        http2: Whether it speaks HTTP/2 without TLS.
    """

    name: str
    command: tuple[str, ...]
    kind: str = "asgi"
    http2: bool = False


FRONTS = {
    front.name: front
    for front in (
        Front("uvicorn-httptools-uvloop", (*UVICORN, "--http", "httptools", "--loop", "uvloop")),
        Front("uvicorn-h11-asyncio", (*UVICORN, "--http", "h11", "--loop", "asyncio")),
        Front("granian", (*GRANIAN, "--workers-kill-timeout", "2"), http2=True),
        Front("hypercorn", HYPERCORN, http2=True),
        Front("pybridge", ("support.served.server", "{port}"), kind="serve", http2=True),
    )
}

ONE_OF_EACH_KIND = list({front.kind: front.name for front in reversed(FRONTS.values())}.values())
"""For rules that the layer keeps, whatever server is before it."""

CANNOT = {
    ("granian", "test_handlers_that_do_not_end_in_time_are_told_and_clean_up"): (
        "Granian kills its worker, if it is told to stop by a time at all"
    ),
    **(
        dict.fromkeys(
            (
                ("hypercorn", "test_streams_that_do_not_end_in_time_break_off"),
                ("hypercorn", "test_handlers_that_do_not_end_in_time_are_told_and_clean_up"),
            ),
            "from Python 3.12.1 on Hypercorn waits for streams without end, whatever its time-out is",
        )
        if sys.version_info >= (3, 12, 1)
        else {}
    ),
    ("hypercorn", "test_a_failure_after_the_head_resets_its_stream_and_no_other"): (
        "Hypercorn leaves a stream of HTTP/2 open when the application fails after the head"
    ),
}
"""Rules that a server cannot hold whatever the application does, by server and test, with the reason."""


def free_port() -> int:
    """A port on which nobody listens."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


@dataclass
class Server:
    """A server that runs, with all of `support.served.services` behind it."""

    front: Front
    port: int
    process: subprocess.Popen[bytes]
    log: Path
    notes_file: Path
    ports_file: Path

    @classmethod
    def start(cls, front: Front, folder: Path, app: str = APP, cwd: Path = TESTS) -> Server:
        """Starts it and waits until it takes connections."""
        port = free_port()
        log, notes, ports = folder / "log", folder / "notes", folder / "ports"
        notes.touch()
        told = {"PYTHONPATH": str(TESTS), "SERVED_NOTES": str(notes), "SERVED_PORTS": str(ports)}
        environment = {**os.environ, **told, "PYTHONUNBUFFERED": "1"}
        arguments = [argument.format(app=app, port=port) for argument in front.command]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                cwd=cwd,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        server = cls(front, port, process, log, notes, ports)
        try:
            wait_until(server._answers, lambda: f"{front.name} takes connections:\n{log.read_text()}")
        except BaseException:
            process.kill()
            process.wait()
            raise
        return server

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    @functools.cached_property
    def _ports(self) -> dict[str, int]:
        """The ports of services that have their own; the first service's is known, and open when all are."""
        return dict(json.loads(self.ports_file.read_text())) if self.ports_file.exists() else {}

    def stop(self) -> str:
        """Asks it to stop as a supervisor does; gives what it logged."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.front.name} does not stop:\n{self.log.read_text()}") from None
        return self.log.read_text()

    def port_of(self, service: str) -> int:
        """The port of a service on this server."""
        return self._ports.get(service, self.port)

    def url(self, service: str, path: str = "") -> str:
        """Where a service is found; `path` is below it."""
        return f"http://127.0.0.1:{self.port_of(service)}{self.path(service, path)}"

    def path(self, service: str, path: str = "/generate") -> str:
        """The path of a service on this server."""
        return path if self.front.kind == "serve" else f"/{service}{path}"

    def client(self, **settings: Any) -> httpx.AsyncClient:
        """A client of httpx; it loads no certificates, which would take longer than most tests."""
        return httpx.AsyncClient(timeout=20, trust_env=False, verify=False, **settings)

    def openai(self, service: str = "openai", **settings: Any) -> openai.AsyncOpenAI:
        """A client of OpenAI's; it loads no certificates either."""
        http = openai.DefaultAsyncHttpxClient(trust_env=False, verify=False)
        return openai.AsyncOpenAI(base_url=self.url(service, "/v1"), api_key="none", http_client=http, **settings)

    async def post(
        self, service: str, do: list[Any] | bytes, headers: dict[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        """Asks a service once, over a connection of its own, and reads the whole answer."""
        body = do if isinstance(do, bytes) else json.dumps({"do": do}).encode()
        headers = {"Content-Type": "application/json", **(headers or {})}
        async with self.client() as client:
            return await client.post(self.url(service, "/generate"), content=body, headers=headers, **more)

    async def connect(self, service: str = "generic", receive_buffer: int | None = None) -> Connection:
        """A raw connection, to where a service is found."""
        return await Connection.open(self.port_of(service), receive_buffer)

    async def ask(
        self, service: str, do: list[Any], headers: dict[str, str] | None = None, receive_buffer: int | None = None
    ) -> Connection:
        """A raw connection on which a request was sent; its answer is still to come."""
        connection = await self.connect(service, receive_buffer)
        headers = {"Content-Type": "application/json", **(headers or {})}
        await connection.request("POST", self.path(service), json.dumps({"do": do}).encode(), headers)
        return connection

    async def stream(self, service: str, do: list[Any], headers: dict[str, str] | None = None) -> Answer:
        """The answer of a raw connection, as soon as its head has come."""
        return await (await self.ask(service, do, headers)).answer()

    def notes(self, request_id: str) -> dict[str, float]:
        """What the handler of a request has noted, and when."""
        return self.all_notes().get(request_id, {})

    def all_notes(self) -> dict[str, dict[str, float]]:
        """What the handlers of all requests have noted."""
        notes: dict[str, dict[str, float]] = {}
        *lines, _being_written = self.notes_file.read_text().split("\n")
        for line in lines:
            name, event, at = line.split("\t")
            notes.setdefault(name, {})[event] = float(at)
        return notes

    async def noted(self, request_id: str, event: str) -> float:
        """Waits until the handler of a request has noted this; gives the time of it, on `time.monotonic`'s clock."""
        await until(lambda: event in self.notes(request_id), lambda: f"{event} among {self.notes(request_id)}")
        return self.notes(request_id)[event]

    def ending(self, request_id: str) -> str | None:
        """How the handler of a request has ended; None: it has not, or was never called."""
        return next((event for event in self.notes(request_id) if event.startswith("ended: ")), None)

    async def metrics(self) -> dict[str, float]:
        """What the page of metrics says now, by the name of the sample with its labels."""
        async with self.client() as client:
            text = (await client.get(self.url("generic", "/metrics"))).text
        samples = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in samples}

    async def assert_counts(self, before: dict[str, float], more: dict[str, float]) -> dict[str, float]:
        """Waits until the samples in `more` have grown by so much since `before`; gives all samples."""
        for _ in range(500):
            now = await self.metrics()
            grown = {name: now.get(name, 0) - before.get(name, 0) for name in more}
            if grown == more:
                return now
            await asyncio.sleep(0.02)
        raise AssertionError(f"counted by {self.front.name}: {grown}\nexpected: {more}")

    async def assert_nothing_left(self) -> None:
        """Waits until nothing is live any more in the server's process."""
        async with self.client() as client:
            remains: dict[str, object] = {"not asked": True}
            for _ in range(1000):
                remains = left((await client.get(self.url("generic", "/metrics"))).text)
                if not remains:
                    return
                await asyncio.sleep(0.02)
        raise AssertionError(f"left behind by {self.front.name}: {remains}")


Starter = Callable[..., Server]
