"""Measures servers over one handler, and writes bench/results/gateway.{json,md}; with another CPython than 3.11
bench/results/gateway-3.X.{json,md}.

python -m bench.gateway                      everything
python -m bench.gateway --only awaiting      cases whose key begins so; others keep their last result

Each server in a process of its own, runs of all servers of a case in turn; a client on the same machine. What counts is
the CPU of the server, for each item: that of *pooled*, an engine of pybridge under axum, against *python* and *ready*
together: the bare handler with an encoder per item, and hyper writing events that are ready.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Self

from bench.result_files import arguments, before, row, said, stamp, write
from bench.servers import (
    CRATE,
    IDLE_SECONDS,
    LARGE_BODIES_TOGETHER,
    MEMORY_SETTINGS,
    PROGRAM,
    TEXT_CHARS,
    Server,
    build,
    free_port,
)
from pybridge.bench.process import LaneProcess
from pybridge.bench.protocol import Lane, Plan, Settle

ITEMS = 100
CYCLES = 3


@dataclass(frozen=True)
class Case:
    """Streams of one handler; how much more than its floor the gateway may cost."""

    key: str
    title: str
    connections: int
    requests: int
    at_most: float


CASES = (
    Case("awaiting", "`sleep(0)` before each item, 64 connections", 64, 1280, 1.25),
    Case("bursts", "8 items per await, 64 connections", 64, 2560, 1.6),
    Case("paced", "50 items a second, 400 connections", 400, 400, 1.3),
)

BODIES: dict[str, Any] = {
    "text": {"prompt": "x" * TEXT_CHARS},
    "trees": {
        "rows": [{"id": index, "name": f"row {index}", "tags": ["a", "b"], "score": 0.5} for index in range(15_000)]
    },
}
IDLE_AT_MOST_MIB = 8.0


def serve(way: str, handler: str, settings: dict[str, str] | None = None) -> Server:
    """One of the servers in Rust."""
    port = free_port()
    return Server([str(PROGRAM), way, handler, str(port)], port, settings)


class Floor:
    """The bare handler in asyncio tasks, each item encoded by msgspec."""

    def __init__(self, handler: str) -> None:
        self.handler = handler
        self.lane = LaneProcess(Lane(name="python"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.lane.__exit__(None, None, None)

    def load(self, connections: int, requests: int, items: int, body: Any) -> dict[str, float]:
        """The same without a server."""
        plan = Plan(
            handler=f"handlers:{self.handler}",
            bodies=[json.dumps(body).encode()],
            codec="json",
            concurrency=connections,
            requests=requests,
        )
        result = self.lane.run(plan)
        if result.items != requests * items:
            raise SystemExit(f"{result.items} of {requests * items} items came")
        return {"cpu_us": result.cpu_seconds / result.items * 1e6, "items_per_s": result.items / result.seconds}

    def resident_mib(self, *, settle: float) -> float:
        """Memory in RAM, after so many seconds without work and with a release of what is free."""
        state = self.lane.run(Settle(seconds=settle, trim=True)).state
        assert state is not None
        return state.rss_mib


def measure_case(case: Case, repeat: int) -> dict[str, Any]:
    """All lanes in turn, so many times; medians."""
    samples: dict[str, list[float]] = {lane: [] for lane in ("pooled", "by-hand", "ready", "python")}
    rates: dict[str, list[float]] = {lane: [] for lane in samples}
    body = {"items": ITEMS}
    with ExitStack() as stack:
        lanes: dict[str, Server | Floor] = {
            lane: stack.enter_context(serve(lane, case.key)) for lane in samples if lane != "python"
        }
        lanes["python"] = stack.enter_context(Floor(case.key))
        for round_number in range(repeat + 1):
            for lane, runner in lanes.items():
                # By hand it takes ten times as long; a tenth tells as much.
                few = lane == "by-hand" and case.requests > case.connections
                found = runner.load(case.connections, case.requests // 10 if few else case.requests, ITEMS, body)
                if round_number:
                    samples[lane].append(found["cpu_us"])
                    rates[lane].append(found["items_per_s"])
    medians = {lane: statistics.median(values) for lane, values in samples.items()}
    ratios = [
        pooled / (ready + python)
        for pooled, ready, python in zip(samples["pooled"], samples["ready"], samples["python"], strict=True)
    ]
    by_hand = [hand / pooled for hand, pooled in zip(samples["by-hand"], samples["pooled"], strict=True)]
    ratio = statistics.median(ratios)
    return {
        "key": case.key,
        "title": case.title,
        "cpu_us": medians,
        "spreads": {lane: (max(values) - min(values)) / medians[lane] for lane, values in samples.items()},
        "items_per_s": {lane: statistics.median(values) for lane, values in rates.items()},
        "ratio": ratio,
        "ratio_range": [min(ratios), max(ratios)],
        "by_hand": [min(by_hand), max(by_hand)],
        "at_most": case.at_most,
        "reached": ratio <= case.at_most,
        "repeats": repeat,
    }


def measure_memory(name: str, cycles: int) -> dict[str, Any]:
    """Large requests, so many at a time, then nothing: what the processes keep."""
    kept: dict[str, float] = {}
    body = BODIES[name]
    for way in ("pooled", "by-hand"):
        with serve(way, "single", MEMORY_SETTINGS) as server:
            kept[way] = server.kept_mib(cycles, LARGE_BODIES_TOGETHER, body)
    with Floor("single") as floor:
        floor.load(8, 16, 1, {"items": 1})
        start = floor.resident_mib(settle=0)
        for _ in range(cycles):
            floor.load(LARGE_BODIES_TOGETHER, LARGE_BODIES_TOGETHER, 1, body)
        kept["python"] = floor.resident_mib(settle=IDLE_SECONDS) - start
    at_most = IDLE_AT_MOST_MIB + (max(kept["python"], 0) if name == "trees" else 0)
    return {"key": f"memory-{name}", "kept_mib": kept, "at_most": at_most, "reached": kept["pooled"] <= at_most}


SETTING = """\
CPU of the server for each item, in microseconds; streams of {items} OpenAI chunks as server-sent events over HTTP/1.1
on loopback, with a client that is another process; medians of interleaved runs with (max - min) / median. Trust the
ratios, not the absolutes.

*pooled* is axum over `Engine::chunks`. *ready* is hyper writing events that are ready, one write for what one step of
the handler gives; *python* is the bare handler in asyncio tasks with msgspec encoding each item: what a gateway does
costs at least both, its floor. *by hand* is the same service with pyo3-async-runtimes and pythonize.
"""

MEMORY = """\
{together} requests of 1 MB at a time, {cycles} cycles; MiB resident {idle:g} s later above the start. *pooled* gives
memory back from 8 MiB on (`PYBRIDGE_MEMORY_MIN_GAIN`, as in all memory figures here); *python* gives back what is free.
"""


def markdown(document: dict[str, Any]) -> str:
    """The results as a page to read."""
    of = document["machine"]
    lines = [
        "# A gateway's costs",
        "",
        f"{of['cores']} cores of {of['cpu']}, {of['system']}, CPython {of['python']}.",
        SETTING.format(items=ITEMS),
        "| case | pooled | ready | python | pooled / floor | target | reached | by hand | by hand / pooled |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        *map(_case_row, document["cases"]),
        "",
        "## Memory",
        "",
        MEMORY.format(together=LARGE_BODIES_TOGETHER, cycles=CYCLES, idle=IDLE_SECONDS),
        "| requests | pooled | python | by hand | target | reached |",
        "| --- | --- | --- | --- | --- | --- |",
        *map(_memory_row, document["memory"]),
        "",
        f"`{document['command']}`, {document['measured_at']}",
        "",
    ]
    return "\n".join(lines)


def _case_row(case: dict[str, Any]) -> str:
    cpu = {lane: f"{case['cpu_us'][lane]:.2f} ±{case['spreads'][lane] * 50:.0f} %" for lane in case["cpu_us"]}
    low, high = case["ratio_range"]
    few, many = case["by_hand"]
    return row(
        case["title"],
        cpu["pooled"],
        cpu["ready"],
        cpu["python"],
        f"{case['ratio']:.2f} ({low:.2f} to {high:.2f})",
        f"≤ {case['at_most']:g}",
        said(reached=case["reached"]),
        cpu["by-hand"],
        f"{few:.0f} to {many:.0f}",
    )


def _memory_row(found: dict[str, Any]) -> str:
    kept = [f"{found['kept_mib'][lane]:.1f}" for lane in ("pooled", "python", "by-hand")]
    reached = said(reached=found["reached"])
    return row(found["key"].removeprefix("memory-"), *kept, f"≤ {found['at_most']:.1f}", reached)


def main() -> int:
    """Measures, writes, and says which figures are not reached: exit status 1 if any."""
    wanted, repeat = arguments("bench.gateway", __doc__)
    build()
    last = before("gateway")
    kept = {found["key"]: found for found in [*last.get("cases", []), *last.get("memory", [])]}
    os.environ["PYTHONPATH"] = str(CRATE)  # of all lanes: there the handlers are
    for case in CASES:
        if case.key.startswith(wanted):
            print(f"{case.title} ...", file=sys.stderr, flush=True)
            kept[case.key] = measure_case(case, repeat)
    for name in BODIES:
        if f"memory-{name}".startswith(wanted):
            print(f"memory, {name} ...", file=sys.stderr, flush=True)
            kept[f"memory-{name}"] = measure_memory(name, CYCLES)
    document: dict[str, Any] = {
        **stamp("bench.gateway"),
        "cases": [kept[case.key] for case in CASES if case.key in kept],
        "memory": [kept[f"memory-{name}"] for name in BODIES if f"memory-{name}" in kept],
    }
    page = markdown(document)
    write("gateway", document, page)
    print(page)
    return 0 if all(found["reached"] for found in [*document["cases"], *document["memory"]]) else 1


if __name__ == "__main__":
    sys.exit(main())
