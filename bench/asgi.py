"""Measures ASGI servers over one handler, and writes bench/results/asgi.{json,md}; with another CPython than 3.11
bench/results/asgi-3.X.{json,md}.

python -m bench.asgi                      everything
python -m bench.asgi --only awaiting      cases whose key begins so; others keep their last result

Each server in a process of its own, runs of all of a case in turn; a client on the same machine. What counts is the CPU
of the server for each item: of `engine.asgi()`, against a generator under Starlette with orjson, by the same server.
"""

from __future__ import annotations

import statistics
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from bench.result_files import arguments, before, row, said, stamp, write
from bench.serve_cases import start
from bench.servers import (
    IDLE_SECONDS,
    LARGE_BODIES_TOGETHER,
    MEMORY_SETTINGS,
    TEXT_CHARS,
    build,
)

ITEMS = 100
CYCLES = 5
IDLE_AT_MOST_MIB = 16.0
APPS = ("plain", "pooled")
SERVERS = ("uvicorn", "granian")


@dataclass(frozen=True)
class Case:
    """Streams of one handler; how much of what the plain generator costs the engine may."""

    key: str
    title: str
    connections: int
    requests: int
    items: int
    at_most: float


CASES = (
    Case("awaiting", "`sleep(0)` before each item, 64 connections", 64, 640, ITEMS, 1.05),
    Case("bursts", "8 items per await, 64 connections", 64, 1280, ITEMS, 0.4),
    Case("tight", "no await, 64 connections", 64, 1280, ITEMS, 0.4),
    Case("paced", "50 items a second, 200 connections", 200, 200, ITEMS, 1.0),
    Case("single", "one item a request, 64 connections", 64, 6400, 1, 0.8),
)


def way(server: str, app: str) -> str:
    """The name of a server with an application of bench/http/apps.py."""
    return server if app == "plain" else f"{server}-asgi"


def measure_case(case: Case, repeat: int) -> dict[str, Any]:
    """All lanes in turn, so many times; medians."""
    lanes = [(server, app) for server in SERVERS for app in APPS]
    samples: dict[tuple[str, str], list[float]] = {lane: [] for lane in lanes}
    rates: dict[tuple[str, str], list[float]] = {lane: [] for lane in lanes}
    with ExitStack() as stack:
        running = {lane: stack.enter_context(start(way(*lane), case.key)) for lane in lanes}
        for round_number in range(repeat + 1):
            for lane, server in running.items():
                found = server.load(case.connections, case.requests, case.items, {"items": case.items})
                if round_number:
                    samples[lane].append(found["cpu_us"])
                    rates[lane].append(found["items_per_s"])
    return {
        "key": case.key,
        "title": case.title,
        "at_most": case.at_most,
        "repeats": repeat,
        "servers": {server: _compared(case, server, samples, rates) for server in SERVERS},
    }


def _compared(
    case: Case, server: str, samples: dict[tuple[str, str], list[float]], rates: dict[tuple[str, str], list[float]]
) -> dict[str, Any]:
    ratios = [pooled / plain for plain, pooled in zip(samples[server, "plain"], samples[server, "pooled"], strict=True)]
    ratio = statistics.median(ratios)
    return {
        "cpu_us": {app: statistics.median(samples[server, app]) for app in APPS},
        "items_per_s": {app: statistics.median(rates[server, app]) for app in APPS},
        "ratio": ratio,
        "ratio_range": [min(ratios), max(ratios)],
        "reached": ratio <= case.at_most,
    }


def measure_memory() -> dict[str, Any]:
    """Large requests, so many at a time, then nothing: what the processes keep."""
    kept: dict[str, float] = {}
    body = {"prompt": "x" * TEXT_CHARS}
    for app in APPS:
        with start(way("uvicorn", app), "single", MEMORY_SETTINGS) as server:
            kept[app] = server.kept_mib(CYCLES, 10 * LARGE_BODIES_TOGETHER, body)
    return {
        "key": "memory",
        "kept_mib": kept,
        "at_most": IDLE_AT_MOST_MIB,
        "reached": kept["pooled"] <= IDLE_AT_MOST_MIB,
    }


SETTING = """\
CPU of the server for each item, in microseconds; streams of {items} OpenAI chunks as server-sent events over HTTP/1.1
on loopback, with a client that is another process; medians of interleaved runs. uvicorn has uvloop and httptools,
Granian one worker with uvloop. Trust the ratios, not the absolutes.

*pooled* is `engine.asgi()`, *plain* is the handler in a `StreamingResponse` of Starlette's that encodes each item with
orjson.
"""

MEMORY = """\
Under uvicorn: {together} requests at a time with a text of {chars:,} characters, {cycles} cycles of {requests}; MiB
resident {idle:g} s after them above the start (`PYBRIDGE_MEMORY_MIN_GAIN=8MiB`, as in all memory figures here).
"""


def markdown(document: dict[str, Any]) -> str:
    """The results as a page to read."""
    of, memory = document["machine"], document["memory"]
    lines = [
        "# ASGI servers",
        "",
        f"{of['cores']} cores of {of['cpu']}, {of['system']}, CPython {of['python']}.",
        SETTING.format(items=ITEMS),
        "| case | server | pooled | plain | pooled / plain | target | reached | items/s, pooled | plain |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        *(_row(case, server) for case in document["cases"] for server in SERVERS),
        "",
    ]
    if memory:
        kept = memory["kept_mib"]
        counts = {"together": LARGE_BODIES_TOGETHER, "requests": 10 * LARGE_BODIES_TOGETHER, "cycles": CYCLES}
        lines += [
            "## Memory",
            "",
            MEMORY.format(**counts, chars=TEXT_CHARS, idle=IDLE_SECONDS),
            "| pooled | plain | target | reached |",
            "| --- | --- | --- | --- |",
            row(
                *(f"{kept[app]:.1f}" for app in ("pooled", "plain")),
                f"≤ {memory['at_most']:g}",
                said(reached=memory["reached"]),
            ),
            "",
        ]
    return "\n".join([*lines, f"`{document['command']}`, {document['measured_at']}", ""])


def _row(case: dict[str, Any], server: str) -> str:
    found = case["servers"][server]
    low, high = found["ratio_range"]
    return row(
        case["title"],
        server,
        f"{found['cpu_us']['pooled']:.2f}",
        f"{found['cpu_us']['plain']:.2f}",
        f"{found['ratio']:.2f} ({low:.2f} to {high:.2f})",
        f"≤ {case['at_most']:g}",
        said(reached=found["reached"]),
        f"{found['items_per_s']['pooled']:,.0f}",
        f"{found['items_per_s']['plain']:,.0f}",
    )


def main() -> int:
    """Measures, writes, and says which figures are not reached: exit status 1 if any."""
    wanted, repeat = arguments("bench.asgi", __doc__)
    build()
    last = before("asgi")
    kept = {found["key"]: found for found in last.get("cases", [])}
    for case in CASES:
        if case.key.startswith(wanted):
            print(f"{case.title} ...", file=sys.stderr, flush=True)
            kept[case.key] = measure_case(case, repeat)
    memory = last.get("memory")
    if "memory".startswith(wanted):
        print("memory ...", file=sys.stderr, flush=True)
        memory = measure_memory()
    document: dict[str, Any] = {
        **stamp("bench.asgi"),
        "cases": [kept[case.key] for case in CASES if case.key in kept],
        "memory": memory,
    }
    page = markdown(document)
    write("asgi", document, page)
    print(page)
    found = [found for case in document["cases"] for found in case["servers"].values()]
    return 0 if all(each["reached"] for each in [*found, *([memory] if memory else [])]) else 1


if __name__ == "__main__":
    sys.exit(main())
