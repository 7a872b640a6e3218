"""Lets thousands of bad clients loose on `pybridge serve`, and writes bench/results/hostile.{json,md}: what good ones
notice.

python -m bench.hostile                     5,000 silent, 1,000 trickling and 1,000 clients that read nothing

Silent ones send nothing, trickling ones a byte of a head or a body from time to time, the others ask for megabytes and
read none. Fifty good clients ask all the time, before and meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import resource
import select
import socket
import sys
import time
from typing import Any

from bench.result_files import row, stamp, target, target_row, write
from bench.serve_cases import start
from bench.servers import MEMORY_SETTINGS, Server

GOOD = 50
QUIET_SECONDS = 10.0
TRICKLE_SECONDS = 0.5
SLOWER = 2.0
KEPT_MIB = 16.0
DEADLINES = {"silent": 5.0, "trickling head": 5.0, "trickling body": 30.0, "not reading": 30.0}
"""Seconds after which the server has done with each kind, by its defaults."""

LATE_SECONDS = 3.0
"""How much later than their deadline a client on the same busy machine may see that."""

HEAD = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\naccept: text/event-stream\r\n"
FLOOD = json.dumps({"items": 1_000_000}).encode()


async def connect(port: int, receive_buffer: int | None = None) -> socket.socket:
    """A connection without a reader behind it."""
    client = socket.socket()
    client.setblocking(False)
    if receive_buffer is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
    return client


async def closed(client: socket.socket) -> None:
    """Waits until the server has closed; what it said before is skipped."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        while await loop.sock_recv(client, 1 << 16):
            pass


async def silent(port: int) -> float:
    """Sends nothing; seconds until the server closes."""
    with await connect(port) as client:
        began = time.monotonic()
        await closed(client)
        return time.monotonic() - began


async def trickling(port: int, whole: bytes, rest: bytes) -> float:
    """Sends a part at once, and a byte of the rest from time to time; seconds until the server closes."""
    loop = asyncio.get_running_loop()
    with await connect(port) as client:
        began = time.monotonic()
        await loop.sock_sendall(client, whole)
        gone = asyncio.ensure_future(closed(client))
        for byte in rest:
            with contextlib.suppress(OSError):
                await loop.sock_sendall(client, bytes([byte]))
            if (await asyncio.wait([gone], timeout=TRICKLE_SECONDS))[0]:
                break
        await gone
        return time.monotonic() - began


async def not_reading(port: int) -> float:
    """Asks for megabytes and reads nothing; seconds until the server resets the connection."""
    loop = asyncio.get_running_loop()
    with await connect(port, 4096) as client:
        await loop.sock_sendall(client, HEAD + b"content-length: %d\r\n\r\n" % len(FLOOD) + FLOOD)
        began = time.monotonic()
        # Whoever does not read learns of the end by the kernel alone.
        with select.epoll() as ends:
            ends.register(client, select.EPOLLRDHUP)
            ended = asyncio.Event()
            loop.add_reader(ends.fileno(), ended.set)
            await ended.wait()
            loop.remove_reader(ends.fileno())
        return time.monotonic() - began


async def rest(head: bytes, reader: asyncio.StreamReader) -> None:
    """Reads the body of an answer, which is in one piece if it was whole when its head went."""
    _, said, length = head.lower().partition(b"content-length:")
    if said:
        await reader.readexactly(int(length.split()[0]))
    else:
        await reader.readuntil(b"\r\n0\r\n\r\n")


async def good(port: int, until: asyncio.Event) -> list[float]:
    """Asks one item after the other over one connection; milliseconds of each."""
    body = json.dumps({"items": 1}).encode()
    request = HEAD + b"content-length: %d\r\n\r\n" % len(body) + body
    times: list[float] = []
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while not until.is_set():
        began = time.monotonic()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        await rest(head, reader)
        times.append((time.monotonic() - began) * 1000)
        await asyncio.sleep(0.02)
    writer.close()
    return times


def p99(times: list[list[float]]) -> float:
    """Of the requests of all clients."""
    flat = sorted(time for each in times for time in each)
    return flat[int(0.99 * len(flat))]


async def attack(port: int, kinds: dict[str, int]) -> dict[str, list[float]]:
    """All bad clients of all kinds at once; when each was gone."""
    half_head, rest_of_head = HEAD[:20], HEAD[20:] * 20
    body = HEAD + b"content-length: 100000\r\n\r\n"
    ways = {
        "silent": lambda: silent(port),
        "trickling head": lambda: trickling(port, half_head, rest_of_head),
        "trickling body": lambda: trickling(port, body, b" " * 10_000),
        "not reading": lambda: not_reading(port),
    }
    tasks: dict[str, list[asyncio.Task[float]]] = {kind: [] for kind in kinds}
    async with asyncio.TaskGroup() as group:
        for kind, number in kinds.items():
            for count in range(number):
                tasks[kind].append(group.create_task(ways[kind]()))
                if count % 100 == 0:
                    await asyncio.sleep(0)
    return {kind: [task.result() for task in of_kind] for kind, of_kind in tasks.items()}


async def measure(server: Server, kinds: dict[str, int]) -> dict[str, Any]:
    """Good clients alone, then among bad ones."""
    over = asyncio.Event()
    alone = [asyncio.ensure_future(good(server.port, over)) for _ in range(GOOD)]
    await asyncio.sleep(QUIET_SECONDS)
    over.set()
    quiet = await asyncio.gather(*alone)
    before = server.resident_mib()
    over = asyncio.Event()
    among = [asyncio.ensure_future(good(server.port, over)) for _ in range(GOOD)]
    gone = await attack(server.port, kinds)
    over.set()
    attacked = await asyncio.gather(*among)
    peak = server.resident_mib()
    await asyncio.sleep(15)
    return {
        "alone_p99_ms": p99(quiet),
        "among_p99_ms": p99(attacked),
        "requests": sum(map(len, attacked)),
        "gone": {kind: {"clients": len(times), "last_s": max(times)} for kind, times in gone.items()},
        "peak_mib": peak - before,
        "kept_mib": server.resident_mib() - before,
    }


def markdown(document: dict[str, Any]) -> str:
    """The results as a page to read."""
    of = document["machine"]
    lines = [
        "# Bad clients",
        "",
        f"{of['cores']} cores of {of['cpu']}, {of['system']}, CPython {of['python']}.",
        f"`pybridge serve` with its defaults; {GOOD} good clients ask for one item at a time, alone and among all the",
        "bad ones, which connect at once. All on one machine.",
        "",
        "| figure | measured | target | reached |",
        "| --- | --- | --- | --- |",
        *map(target_row, document["targets"]),
        "",
        "| clients | number | gone after, at most | deadline |",
        "| --- | --- | --- | --- |",
        *(
            row(kind, f"{each['clients']:,}", f"{each['last_s']:.1f} s", f"{DEADLINES[kind]:g} s")
            for kind, each in document["gone"].items()
        ),
    ]
    return "\n".join([*lines, "", f"`{document['command']}`, {document['measured_at']}", ""])


def main() -> int:
    """Measures, writes, and says which figures are not reached: exit status 1 if any."""
    parser = argparse.ArgumentParser(prog="python -m bench.hostile", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--silent", type=int, default=5000, help="clients that send nothing (5000)")
    parser.add_argument("--trickling", type=int, default=1000, help="clients that send a byte now and then (1000)")
    parser.add_argument("--not-reading", type=int, default=1000, help="clients that read nothing (1000)")
    args = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    half = args.trickling // 2
    kinds = {
        "silent": args.silent,
        "trickling head": half,
        "trickling body": args.trickling - half,
        "not reading": args.not_reading,
    }
    with start("serve", "tight", MEMORY_SETTINGS) as server:
        found = asyncio.run(measure(server, kinds))
    checks = (
        ("p99 of good clients among bad ones / alone", found["among_p99_ms"] / found["alone_p99_ms"], SLOWER),
        ("MiB kept 15 s later", found["kept_mib"], KEPT_MIB),
        *(
            (f"{kind}: s until the last is gone", found["gone"][kind]["last_s"], DEADLINES[kind] + LATE_SECONDS)
            for kind in kinds
        ),
    )
    targets = [target(*check) for check in checks]
    document: dict[str, Any] = {**stamp("bench.hostile"), **found, "targets": targets}
    page = markdown(document)
    write("hostile", document, page)
    print(page)
    return 0 if all(each["reached"] for each in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
