"""Lets clients leave at random points, and writes bench/results/disconnects.{json,md}: how soon their handlers hear it.

python -m bench.disconnects

Each server in a process of its own, `pybridge serve` and those of ASGI over `engine.asgi()`; 1,000 clients, 20 at a
time: before the first item or amid the stream, by an orderly end or a reset. What counts is the time from there to the
handler's `finally`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import socket
import statistics
import struct
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.result_files import row, said, stamp, write
from bench.servers import Server, free_port

TOGETHER = 20
WITHIN_MS = 100.0
DEADLINE = 30.0
RESET = struct.pack("ii", 1, 0)


def commands(port: int) -> dict[str, list[str]]:
    """The servers, each with the application that notes how its handlers ended."""
    programs = Path(sys.executable).parent
    quiet = ["--port", str(port), "--no-access-log", "--log-level", "warning"]
    serve = ["serve", "apps:noting_engine", "--path", "/", "--access-log", "off"]
    return {
        "pybridge serve": [sys.executable, "-m", "pybridge", *serve, "--port", str(port), "--log-level", "warning"],
        "uvicorn": [f"{programs}/uvicorn", "apps:noting", "--loop", "uvloop", "--http", "httptools", *quiet],
        "granian": [f"{programs}/granian", "apps:noting", "--interface", "asgi", "--loop", "uvloop", *quiet],
        "hypercorn": [f"{programs}/hypercorn", "apps:noting", "--bind", f"127.0.0.1:{port}", "-k", "uvloop"],
    }


async def leave(port: int, name: str, dice: random.Random) -> float:
    """One client that leaves somewhere; when it did."""
    body = json.dumps({"silent": dice.choice((0, 0.05, 3600)), "pace": dice.choice((0, 0.01, 3600))})
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST / HTTP/1.1\r\nhost: x\r\nx-request-id: {name}\r\naccept: text/event-stream\r\n"
    writer.write(f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode())
    await writer.drain()
    until = time.monotonic() + 0.03 + 0.3 * dice.random()
    while (left := until - time.monotonic()) > 0:
        try:
            async with asyncio.timeout(left):
                await reader.read(1 << 16)
        except TimeoutError:
            break
    if dice.random() < 0.5:
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    gone = time.monotonic()
    writer.transport.abort()
    return gone


def noted(notes: Path) -> dict[str, tuple[str, float]]:
    """Why and when each handler ended, so far."""
    lines = notes.read_text(encoding="utf-8").splitlines()
    return {name: (reason, float(at)) for name, reason, at in map(str.split, lines)}


async def leave_all(port: int, clients: int, notes: Path) -> dict[str, tuple[str, float]]:
    """Why each handler ended, and how long after its client had left, in seconds."""
    dice = random.Random(15)
    places = asyncio.Semaphore(TOGETHER)
    gone: dict[str, float] = {}

    async def one(name: str) -> None:
        async with places:
            gone[name] = await leave(port, name, dice)

    async with asyncio.TaskGroup() as tasks:
        for number in range(clients):
            tasks.create_task(one(f"c{number}"))
    deadline = time.monotonic() + DEADLINE
    while True:
        ended = noted(notes)
        if len(ended) == clients:
            return {name: (reason, at - gone[name]) for name, (reason, at) in ended.items()}
        if time.monotonic() > deadline:
            raise SystemExit(f"{clients - len(ended)} handlers have not ended")
        await asyncio.sleep(0.05)


def measure(server: str, clients: int) -> dict[str, Any]:
    """One server: reasons and times in milliseconds."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder) / "notes"
        notes.touch()
        with Server(commands(port)[server], port, {"NOTES": str(notes)}):
            ended = asyncio.run(leave_all(port, clients, notes))
    times = sorted(late * 1000 for _, late in ended.values())
    return {
        "server": server,
        "clients": clients,
        "reasons": {reason: sum(found == reason for found, _ in ended.values()) for reason, _ in ended.values()},
        "median_ms": statistics.median(times),
        "p99_ms": times[int(0.99 * len(times))],
        "most_ms": times[-1],
        "reached": times[-1] <= WITHIN_MS,
    }


def markdown(document: dict[str, Any]) -> str:
    """The results as a page to read."""
    of = document["machine"]
    lines = [
        "# Clients that leave",
        "",
        f"{of['cores']} cores of {of['cpu']}, {of['system']}, CPython {of['python']}.",
        f"Clients leave servers at random points, {TOGETHER} at a time, on the same machine; those of ASGI are over",
        "`engine.asgi()`. Half of the clients reset the connection. Milliseconds from there to the handler's",
        "`finally`; every handler ended.",
        "",
        "| server | clients | reasons | median | p99 | most | target | reached |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for found in document["servers"]:
        reasons = ", ".join(f"{count} `{reason}`" for reason, count in found["reasons"].items())
        times = [f"{found[key]:.1f}" for key in ("median_ms", "p99_ms", "most_ms")]
        reached = said(reached=found["reached"])
        lines.append(row(found["server"], str(found["clients"]), reasons, *times, f"≤ {WITHIN_MS:g}", reached))
    return "\n".join([*lines, "", f"`{document['command']}`, {document['measured_at']}", ""])


def main() -> int:
    """Measures, writes, and says which figures are not reached: exit status 1 if any."""
    parser = argparse.ArgumentParser(prog="python -m bench.disconnects", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--clients", type=int, default=1000, help="clients of each server (1000)")
    args = parser.parse_args()
    document: dict[str, Any] = {
        **stamp("bench.disconnects"),
        "servers": [measure(server, args.clients) for server in commands(0)],
    }
    page = markdown(document)
    write("disconnects", document, page)
    print(page)
    return 0 if all(found["reached"] for found in document["servers"]) else 1


if __name__ == "__main__":
    sys.exit(main())
