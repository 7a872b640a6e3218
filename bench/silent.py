"""Measures what a stream takes of memory while its handler is silent, and writes bench/results/silent.{json,md}; with
another CPython than 3.11 bench/results/silent-3.X.{json,md}.

python -m bench.silent

Each lane in a process of its own: resident memory for each of 10,000 streams that have given one item and wait, read by
a task each, against tasks that read the bare generators.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import shlex
import statistics
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from bench.result_files import write
from pybridge import PooledEngine
from pybridge.bench.system import machine, process_status

AT_MOST = {"attached": 3.0, "dedicated": 4.0}
LANES = ("plain", *AT_MOST)
WARM_UP = 100
TOGETHER = 500
SETTLE_SECONDS = 1.5


async def silent(_request: Any) -> AsyncIterator[int]:
    """Gives one item and waits for ever."""
    yield 1
    await asyncio.Event().wait()


class Readers:
    """Tasks that each read one stream."""

    def __init__(self, lane: str) -> None:
        self.open: Any = silent if lane == "plain" else PooledEngine(silent, worker=lane)  # type: ignore[arg-type]
        self.tasks: list[asyncio.Task[None]] = []
        self.items = asyncio.Semaphore(0)

    async def read(self) -> None:
        """Reads one stream."""
        async for _ in self.open({"a": 1}):
            self.items.release()

    async def add(self, count: int) -> None:
        """So many more, until each has its item."""
        self.tasks += [asyncio.create_task(self.read()) for _ in range(count)]
        for _ in range(count):
            await self.items.acquire()


async def bytes_per_stream(lane: str, streams: int) -> float:
    """Resident memory that each stream has added, once their start is over."""
    readers = Readers(lane)
    await readers.add(WARM_UP)
    gc.collect()
    before = _resident()
    for _ in range(streams // TOGETHER):
        await readers.add(TOGETHER)
    await asyncio.sleep(SETTLE_SECONDS)
    gc.collect()
    return (_resident() - before) / streams


def _resident() -> int:
    return process_status(os.getpid())["VmRSS"] * 1024


def in_own_process(lane: str, streams: int) -> float:
    """The same in a fresh process."""
    command = [sys.executable, "-m", "bench.silent", "--lane", lane, "--streams", str(streams)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure(streams: int, repeat: int) -> dict[str, Any]:
    """All lanes in turn, so many times; medians."""
    runs = [{lane: in_own_process(lane, streams) for lane in LANES} for _ in range(repeat)]
    medians = {lane: statistics.median(run[lane] for run in runs) for lane in LANES}
    more = {lane: (medians[lane] - medians["plain"]) / 1024 for lane in AT_MOST}
    return {
        "streams": streams,
        "repeats": repeat,
        "bytes": medians,
        "spreads": {lane: max(run[lane] for run in runs) - min(run[lane] for run in runs) for lane in LANES},
        "more_kib": more,
        "reached": {lane: more[lane] <= at_most for lane, at_most in AT_MOST.items()},
    }


def markdown(document: dict[str, Any]) -> str:
    """The results as a page to read."""
    of, found = document["machine"], document["found"]
    setting = (
        f"{of['system']}, CPython {of['python']}. Resident memory for each of {found['streams']:,} streams that have "
        f"given one item and wait, each read by a task; medians of {found['repeats']} runs in fresh processes, with "
        "max - min."
    )
    lines = [
        "# What a silent stream takes",
        "",
        setting,
        "",
        "*plain* is the bare generator read by the task; *attached* and *dedicated* are streams of an engine.",
        "",
        "| lane | bytes a stream | KiB more than plain | target | reached |",
        "| --- | --- | --- | --- | --- |",
    ]
    for lane in LANES:
        row = f"| {lane} | {found['bytes'][lane]:,.0f} ±{found['spreads'][lane]:,.0f} |"
        if lane in AT_MOST:
            reached = "yes" if found["reached"][lane] else "**no**"
            row += f" {found['more_kib'][lane]:.2f} | ≤ {AT_MOST[lane]:g} | {reached} |"
        else:
            row += " | | |"
        lines.append(row)
    return "\n".join([*lines, "", f"`{document['command']}`, {document['measured_at']}", ""])


def main() -> int:
    """Measures, writes, and says which figures are not reached: exit status 1 if any."""
    parser = argparse.ArgumentParser(prog="python -m bench.silent", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--streams", type=int, default=10_000, help="streams (10,000)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each lane (3)")
    parser.add_argument("--lane", choices=LANES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.lane:
        asyncio.run(_report(args.lane, args.streams))
    found = measure(args.streams, args.repeat)
    document = {
        "schema": 1,
        "machine": machine(),
        "command": shlex.join(["python", "-m", "bench.silent", *sys.argv[1:]]),
        "measured_at": datetime.now(UTC).isoformat(timespec="minutes"),
        "found": found,
    }
    page = markdown(document)
    write("silent", document, page)
    print(page)
    return 0 if all(found["reached"].values()) else 1


async def _report(lane: str, streams: int) -> None:
    found = await bytes_per_stream(lane, streams)
    print(found, flush=True)
    # Ten thousand streams that wait for ever need no orderly end.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
