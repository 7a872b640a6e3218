"""A Ray of one machine with Serve on it: applications by name, what its processes use, and a client over HTTP/1.1."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import ray
from ray import serve

from bench.servers import CRATE, free_port

HOST = "127.0.0.1"
ROOT = Path(__file__).parents[1]
PROXY = "ray::ProxyActor"
REPLICA = "ray::ServeReplica:"


@dataclass(frozen=True)
class Answer:
    """What came back: status, head as text, the decoded body, the pieces it came in, and whether it was whole."""

    status: int
    head: str
    body: bytes
    pieces: int
    whole: bool


@dataclass(frozen=True)
class _Process:
    pid: int
    parent: int
    title: str
    cpu: float


class Cluster:
    """Ray and Serve, started and stopped here, with modules in `folders` to import; a context manager."""

    def __init__(self, *folders: Path) -> None:
        self.port = free_port()
        self._folders = [ROOT, CRATE, *folders]

    def __enter__(self) -> Self:
        # Inherited by replicas: where they import applications from.
        os.environ["PYTHONPATH"] = os.pathsep.join(map(str, self._folders))
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        ray.init(include_dashboard=False, log_to_driver=False, num_cpus=os.cpu_count())
        serve.start(http_options={"host": HOST, "port": self.port})
        return self

    def __exit__(self, *_: object) -> None:
        serve.shutdown()
        ray.shutdown()

    def run(self, name: str, application: Any) -> None:
        """Starts an application below `/name`, and waits until it is ready."""
        serve.run(application, name=name, route_prefix=f"/{name}")

    def delete(self, name: str, *, wait: bool = True) -> None:
        """Stops an application; it drains as its settings say."""
        serve.delete(name, _blocking=wait)

    def replicas(self, name: str) -> int:
        """Processes that serve an application."""
        return sum(process.title.startswith(f"{REPLICA}{name}:") for process in _family())

    def cpu(self, name: str) -> tuple[float, float]:
        """Seconds on processors so far: of the proxy with the application's replicas, and of Ray without replicas."""
        family = _family()
        ours = [process for process in family if process.title.startswith((PROXY, f"{REPLICA}{name}:"))]
        rest = [process for process in family if not process.title.startswith((PROXY, REPLICA))]
        return sum(process.cpu for process in ours), sum(process.cpu for process in rest if process.pid != os.getpid())

    async def post(self, path: str, body: Any, **headers: str) -> Answer:
        """Sends a request, reads the answer to its end."""
        reader, writer = await self.send(path, body, **headers)
        received = []
        while part := await reader.read(1 << 16):
            received.append(part)
        writer.close()
        return _parse(b"".join(received))

    async def send(self, path: str, body: Any, **headers: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Sends a request and leaves its answer to the caller."""
        reader, writer = await asyncio.open_connection(HOST, self.port)
        data = json.dumps(body).encode()
        fields = {
            "host": HOST,
            "connection": "close",
            "content-type": "application/json",
            "content-length": str(len(data)),
            "accept": "text/event-stream",
        } | {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
        writer.write("\r\n".join(lines).encode() + data)
        return reader, writer


def _family() -> list[_Process]:
    """This process and all below it."""
    processes = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            title = (folder / "cmdline").read_text(encoding="utf-8", errors="replace")
        except OSError:  # it has ended
            continue
        cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        processes.append(_Process(int(folder.name), int(fields[1]), title.rstrip("\0"), cpu))
    found = [process for process in processes if process.pid == os.getpid()]
    for parent in found:
        found += [process for process in processes if process.parent == parent.pid]
    return found


def _parse(received: bytes) -> Answer:
    head, _, rest = received.partition(b"\r\n\r\n")
    text = head.decode("latin-1")
    status = int(text.split(maxsplit=2)[1]) if text else 0
    if "transfer-encoding: chunked" not in text.lower():
        return Answer(status, text, rest, 1, whole=bool(text))
    pieces = list(_chunks(rest))
    whole = bool(pieces) and pieces[-1] == b""
    return Answer(status, text, b"".join(pieces), len(pieces) - whole, whole)


def _chunks(data: bytes) -> Iterator[bytes]:
    """The chunks of a body that are whole; the empty one is the end."""
    at = 0
    while (line := data.find(b"\r\n", at)) >= 0:
        size = int(data[at:line], 16)
        piece = data[line + 2 : line + 2 + size]
        if len(piece) < size:
            return
        yield piece
        at = line + 2 + size + 2
