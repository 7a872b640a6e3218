"""Measures every figure to reach, lanes and repeats interleaved, and writes bench/results/streams.{json,md}; with
another CPython than 3.11 bench/results/streams-3.X.{json,md}, beside the figures of 3.11.

python -m bench.figures                      everything
python -m bench.figures --only tight,await   cases whose key begins so; others keep their last result
"""

import argparse
import itertools
import shlex
import statistics
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import msgspec

from bench.figure_cases import MEMORY, STREAMS, Case, Medians, MemoryCase
from bench.figure_report import markdown
from bench.result_files import before, judged_beside, write
from pybridge.bench import memory
from pybridge.bench.process import LaneError, LaneProcess
from pybridge.bench.protocol import Lane, Plan, Result
from pybridge.bench.system import machine

HANDLERS = "pybridge.bench.handlers"
PROBE_SECONDS = 3.0
PROBE_SAMPLES = 1500
WARM_UP_ITEMS = 64

Samples = dict[str, list[dict[str, float]]]


def body(request: dict[str, Any]) -> bytes:
    """A request as it arrives."""
    return msgspec.msgpack.encode(request)


class StreamCase:
    """One case over its lanes, each in a process of its own."""

    run_numbers = itertools.count()

    def __init__(self, case: Case, lanes: dict[str, LaneProcess], seconds: float) -> None:
        self.case = case
        self.lanes = lanes
        self.seconds = seconds
        self.sizes: dict[str, int] = {}

    def plan(self, size: int) -> Plan:
        """A run in which every stream has `size` items, or with `size` rounds of one-item streams."""
        case = self.case
        requests = case.concurrency
        bodies = [body({"items": size})]
        if case.probe:
            run = next(self.run_numbers)
            busy = body({"run": run})
            bodies = [body({"run": run, "samples": PROBE_SAMPLES, "seconds": PROBE_SECONDS})]
            bodies += [busy] * (case.concurrency - 1)
        elif case.requests_only:
            requests *= size
            bodies = [body({"items": 1})]
        return Plan(
            handler=f"{HANDLERS}:{case.handler}",
            bodies=bodies,
            concurrency=case.concurrency,
            requests=requests,
            probe=case.probe,
        )

    def calibrate(self, name: str) -> None:
        """Warms a lane up and finds the size that fills a run."""
        size = 1
        if not self.case.probe:
            size = 4 if self.case.requests_only else WARM_UP_ITEMS
            for _ in range(2):
                result = self.lanes[name].run(self.plan(size))
                size = max(4, round(size * self.seconds / result.seconds))
        self.sizes[name] = size

    def sample(self, name: str) -> dict[str, float]:
        """One run."""
        return figures(self.lanes[name].run(self.plan(self.sizes[name])))


def figures(result: Result) -> dict[str, float]:
    """What one run says."""
    items = max(result.items, 1)
    found = {
        "items_per_s": result.items / result.seconds,
        "requests_per_s": result.requests / result.seconds,
        "cpu_us": 1e6 * result.cpu_seconds / items,
        "switches": result.switches / items,
    }
    if result.probe is not None:
        found |= {"probe_p50_us": result.probe.p50_us, "probe_p99_us": result.probe.p99_us}
    return found


def measure_streams(cases: Iterable[Case], repeat: int, seconds: float) -> dict[str, Samples]:
    """All stream cases; in each repeat every lane runs once, in turn."""
    measured: dict[str, Samples] = {}
    with ExitStack() as stack:
        lanes: dict[str, LaneProcess] = {}
        for case in cases:
            for name in case.lanes:
                if name not in lanes:
                    lanes[name] = stack.enter_context(LaneProcess(Lane(name=name)))
            runner = StreamCase(case, lanes, seconds)
            samples: Samples = {name: [] for name in case.lanes}
            try:
                for name in case.lanes:
                    runner.calibrate(name)
                for number in range(repeat):
                    print(f"{case.key}: {number + 1} of {repeat}", file=sys.stderr)
                    for name in case.lanes:
                        samples[name].append(runner.sample(name))
            except LaneError as error:
                print(f"{case.key}: {error}", file=sys.stderr)
                continue
            measured[case.key] = samples
    return measured


def measure_memory(cases: Iterable[MemoryCase], repeat: int, requests: int, cycles: int) -> dict[str, Samples]:
    """All memory cases, each lane in a fresh process each time."""
    measured: dict[str, Samples] = {}
    for case in cases:
        samples: Samples = {name: [] for name in case.lanes}
        for _ in range(repeat):
            for name in case.lanes:
                settings = memory.Settings(
                    lanes=(name.removesuffix("-held"),),
                    payload=case.payload,
                    requests=requests,
                    cycles=cycles,
                    flow=case.flows.get(name, {}),
                )
                report = memory.measure(settings, lambda label: print(label, file=sys.stderr))
                for problem in report.problems:
                    print(f"{case.key}: {problem}", file=sys.stderr)
                if not report.problems:
                    samples[name].append(memory_figures(report.rows))
        if all(samples.values()):
            measured[case.key] = samples
    return measured


def memory_figures(rows: list[dict[str, Any]]) -> dict[str, float]:
    """What the rows of one lane say."""
    by_cycle = {row["cycle"]: row for row in rows}
    cycles = [row for row in rows if row["requests_per_s"] is not None]
    return {
        "start_mib": by_cycle[0]["rss_mib"],
        "after_cycles_mib": cycles[-1]["rss_mib"],
        "idle_mib": by_cycle["idle"]["rss_mib"],
        "idle_gain": by_cycle["idle"]["rss_mib"] - by_cycle[0]["rss_mib"],
        "trim_mib": by_cycle["trim"]["rss_mib"],
        "peak_mib": cycles[-1]["peak_mib"],
        "threads": max(row["threads"] for row in rows),
        "arenas": max(row["arenas"] for row in rows),
        "requests_per_s": statistics.median(row["requests_per_s"] for row in cycles),
        "cpu_ms": statistics.median(row["cpu_ms_per_request"] for row in cycles),
    }


def summary(case: Case | MemoryCase, samples: Samples, command: str) -> dict[str, Any]:
    """Medians, spreads and targets of one case, as they are written."""
    medians: Medians = {}
    spreads: Medians = {}
    for lane, runs in samples.items():
        medians[lane] = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        spreads[lane] = {
            name: (max(run[name] for run in runs) - min(run[name] for run in runs)) / (abs(median) or 1.0)
            for name, median in medians[lane].items()
        }
    targets = [
        {
            "name": target.name,
            "value": (value := target.value(medians)),
            "at_most": target.at_most,
            "at_least": target.at_least,
            "stretch": target.stretch,
            "reached": target.reached(value),
        }
        for target in case.targets
    ]
    return {
        "key": case.key,
        "title": case.title,
        "command": command,
        "measured_at": datetime.now(UTC).isoformat(timespec="minutes"),
        "repeats": min(map(len, samples.values())),
        "targets": targets,
        "medians": medians,
        "spreads": spreads,
    }


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.figures", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--only", default="", metavar="KEY,KEY", help="cases whose key begins with one of these")
    parser.add_argument("--repeat", type=int, default=5, help="runs of each stream case (5)")
    parser.add_argument("--seconds", type=float, default=0.5, help="length of a run (0.5)")
    parser.add_argument("--memory-repeat", type=int, default=1, help="runs of each memory case (1)")
    parser.add_argument("--memory-requests", type=int, default=500, help="requests of a cycle (500)")
    parser.add_argument("--memory-cycles", type=int, default=3, help="cycles (3)")
    return parser.parse_args()


def main() -> int:
    """Measures, writes, and says which figures are not reached: exit status 1 if any."""
    args = arguments()
    prefixes = tuple(args.only.split(","))
    command = shlex.join(["python", "-m", "bench.figures", *sys.argv[1:]])
    streams = [case for case in STREAMS if case.key.startswith(prefixes)]
    memories = [case for case in MEMORY if case.key.startswith(prefixes)]
    measured = measure_streams(streams, args.repeat, args.seconds)
    measured |= measure_memory(memories, args.memory_repeat, args.memory_requests, args.memory_cycles)

    results = {result["key"]: result for result in before("streams").get("cases", [])}
    cases: list[Case | MemoryCase] = [*streams, *memories]
    for case in cases:
        if case.key in measured:
            results[case.key] = summary(case, measured[case.key], command)
    known: list[Case | MemoryCase] = [*STREAMS, *MEMORY]
    ordered = [results[case.key] for case in known if case.key in results]
    document = {"schema": 1, "machine": machine(), "cases": ordered}
    page = markdown(document, judged_beside("streams"))
    write("streams", document, page)

    missed = [target for result in ordered for target in result["targets"] if not target["reached"]]
    print(page)
    return 1 if missed or len(measured) < len(streams) + len(memories) else 0


if __name__ == "__main__":
    sys.exit(main())
