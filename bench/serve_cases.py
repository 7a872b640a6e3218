"""Servers over one handler, and the figures that `pybridge serve` is to reach beside them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from bench.servers import PROGRAM, Server, free_port

ITEMS = 100

PACE_US = 20_000
"""Between two items of a paced stream: no server makes gaps shorter."""

PEERS = ("uvicorn", "granian")
"""The best of these, with a plain generator and orjson, is what figures are compared with."""

WAYS = {
    "serve": "`pybridge serve`",
    "uvicorn": "uvicorn (httptools, uvloop), Starlette, orjson",
    "granian": "Granian (uvloop), the same application",
    "uvicorn-asgi": "uvicorn, `engine.asgi()`",
    "granian-asgi": "Granian, `engine.asgi()`",
    "by-hand": "the usual bridge under axum",
    "raw": "a protocol by hand on uvloop, orjson",
    "ready": "hyper, events that are ready",
}


@dataclass(frozen=True)
class Case:
    """Requests to one handler, and bounds of what they cost.

    Attributes:
        items: Events of each answer; None: one value of JSON.
        cpu: Most CPU an item, as a part of the best peer's.
        rate: Least items a second, as a multiple of the best peer's.
        gap: Longest p99 of the time between arrivals, as a part of the best peer's.
        raw: Most CPU an item, as a multiple of the raw protocol's.
    """

    key: str
    title: str
    handler: str
    connections: int
    requests: int
    items: int | None = ITEMS
    cpu: float | None = None
    rate: float | None = None
    gap: float | None = None
    raw: float | None = None

    def ways(self) -> list[str]:
        """The servers that can do it."""
        missing = {"unary": {"by-hand", "ready"}, "single": {"ready"}, "tight": {"ready"}}.get(self.handler, set())
        return [way for way in WAYS if way not in missing]

    def requests_of(self, way: str) -> int:
        """By hand it takes ten times as long; a tenth tells as much."""
        few = way == "by-hand" and self.requests > self.connections
        return max(self.requests // 10, self.connections) if few else self.requests


def _streams(connections: int) -> tuple[Case, ...]:
    """Bursts and a turn of the loop for each item, on so many connections."""
    titled = f"{connections} connection{'s' if connections > 1 else ''}"
    requests = max(connections * 10, 320)
    return (
        Case(f"awaiting-{connections}", f"`sleep(0)` before each item, {titled}", "awaiting", connections, requests),
        Case(f"bursts-{connections}", f"8 items per await, {titled}", "bursts", connections, 2 * requests),
    )


def _paced(streams: int) -> Case:
    title = f"50 items a second, {streams:,} connections"
    return Case(f"paced-{streams}", title, "paced", streams, streams, cpu=0.85, gap=0.7)


CASES = (
    Case("awaiting-64", "`sleep(0)` before each item, 64 connections", "awaiting", 64, 1280, cpu=0.7, rate=1.5),
    Case("bursts-64", "8 items per await, 64 connections", "bursts", 64, 2560, cpu=0.33, rate=3),
    Case("tight-64", "no await, 64 connections", "tight", 64, 3840, cpu=0.22, rate=3),
    *map(_paced, (200, 400, 1000)),
    Case("single-64", "one event a request, 64 connections", "single", 64, 19200, 1, cpu=0.25, rate=3, raw=1.6),
    Case("unary-64", "one value of JSON, 64 connections", "unary", 64, 19200, None, cpu=0.25, rate=3, raw=1.6),
    *_streams(1),
    *_streams(16),
    *_streams(256),
)


def start(way: str, handler: str, settings: dict[str, str] | None = None) -> Server:
    """One of the servers over a handler of bench/http/handlers.py."""
    port = free_port()
    python = [sys.executable]
    quiet = ["--port", str(port), "--log-level", "warning"]
    serve = ["-m", "pybridge", "serve", f"handlers:{handler}", "--path", "/", "--codec", "json", "--uvloop"]
    loop = ["--loop", "uvloop", "--no-access-log"]
    uvicorn = ["-m", "uvicorn", "--http", "httptools", *loop, *quiet]
    granian = [str(Path(sys.executable).parent / "granian"), "--interface", "asgi", "--workers", "1", *loop, *quiet]
    commands = {
        "serve": [*python, *serve, "--access-log", "off", *quiet],
        "uvicorn": [*python, *uvicorn, "apps:plain"],
        "granian": [*granian, "apps:plain"],
        "uvicorn-asgi": [*python, *uvicorn, "apps:pooled"],
        "granian-asgi": [*granian, "apps:pooled"],
        "raw": [*python, "raw.py", str(port)],
        "by-hand": [str(PROGRAM), "by-hand", handler, str(port)],
        "ready": [str(PROGRAM), "ready", handler, str(port)],
    }
    return Server(commands[way], port, {"HANDLER": handler, **(settings or {})})
