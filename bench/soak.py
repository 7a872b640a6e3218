"""Soaks the engine in large requests, beside the floor and the usual bridge, and judges what stays resident.

python -m bench.soak                                  everything; hours are not needed, about forty minutes are
python -m bench.soak --only text,tree-survivors       cases by name; others keep their last result
python -m bench.soak --only tree --lanes python --floor-runs 1 --add    in pieces: one more run of the floor
python -m bench.soak --short                          two small cycles of each, to see that it works; writes nothing

Bounds are judged on CPython 3.11; what another one measures is kept beside it, under its version.
"""

import argparse
import json
import os
import shlex
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.result_files import JUDGED_PYTHON
from bench.soak_report import judge, markdown
from pybridge.bench import memory
from pybridge.bench.system import machine

RESULTS = Path(__file__).parent / "results"
JEMALLOC = sorted(Path("/usr/lib").glob("**/libjemalloc.so.2"))


@dataclass(frozen=True)
class Case:
    """One payload under one setting of the process."""

    key: str
    payload: memory.Payload
    lanes: tuple[str, ...] = ("pooled", "python", "naive")
    survivors: bool = False
    memory: dict[str, Any] = field(default_factory=lambda: {"idle_release": "all", "min_gain": "8MiB"})
    environment: dict[str, str] = field(default_factory=dict)


SYSTEM = {"idle_release": "all", "min_gain": "8MiB", "python_allocator": "system"}
ARENAS = {"MALLOC_ARENA_MAX": "2"}
PRELOADED = {"LD_PRELOAD": str(JEMALLOC[0])} if JEMALLOC else {}
CASES = [
    Case("text", "text"),
    Case("tree", "tree"),
    Case("tree-survivors", "tree", ("pooled", "naive"), survivors=True, memory=SYSTEM),
    Case("text-arenas", "text", environment=ARENAS),
    Case("tree-arenas", "tree", environment=ARENAS),
]
if PRELOADED:
    CASES += [Case(f"{payload}-jemalloc", payload, environment=PRELOADED) for payload in ("text", "tree")]


@contextmanager
def environment(extra: dict[str, str]) -> Iterator[None]:
    """Sets variables for the processes of the lanes."""
    before = dict(os.environ)
    os.environ.update(extra)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def soak(case: Case, lane: str, args: argparse.Namespace) -> dict[str, Any]:
    """One lane in a fresh process; raises `RuntimeError` when it fails."""
    settings = memory.Settings(
        lanes=(lane,),
        payload=case.payload,
        requests=args.requests,
        cycles=args.naive_cycles if lane == "naive" else args.cycles,
        concurrency=args.concurrency,
        chars=args.chars,
        idle=args.idle,
        # Nothing holds requests back: all of them are decoded at once, as in the other lanes.
        flow={"max_held_bytes": "8GiB"},
        survivors=case.survivors,
        memory=case.memory,
    )
    with environment(case.environment):
        report = memory.measure(settings, lambda label: print(f"{case.key}: {label}", file=sys.stderr))
    if report.problems:
        raise RuntimeError("; ".join(report.problems))
    return figures(report.rows)


def figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What the rows of one lane say; sizes in MiB."""
    by_cycle = {row["cycle"]: row for row in rows}
    cycles = [row for row in rows if row["requests_per_s"] is not None]
    return {
        "start": by_cycle[0]["rss_mib"],
        "cycles": [round(row["rss_mib"], 1) for row in cycles],
        "slope": slope([row["rss_mib"] for row in cycles[2:]]),
        "peak": cycles[-1]["peak_mib"],
        "idle": by_cycle["idle"]["rss_mib"],
        "released": by_cycle["idle"]["released_mib"],
        "release_ms": by_cycle["idle"]["release_ms"],
        "threads": max(row["threads"] for row in rows),
        "arenas": max(row["arenas"] for row in rows),
        "requests_per_s": statistics.median(row["requests_per_s"] for row in cycles),
        "cpu_ms": statistics.median(row["cpu_ms_per_request"] for row in cycles),
    }


def slope(values: list[float]) -> float | None:
    """MiB per cycle, by least squares; None of fewer than three."""
    if len(values) < 3:
        return None
    return statistics.linear_regression(range(len(values)), values).slope


def stored_as(case: Case) -> str:
    """The name of a case among the results of all interpreters."""
    version = sys.version_info[:2]
    return case.key if version == JUDGED_PYTHON else f"{case.key} on {version[0]}.{version[1]}"


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    names = ", ".join(case.key for case in CASES)
    parser.add_argument("--only", default="", metavar="CASE,CASE", help=f"cases: {names}")
    parser.add_argument("--lanes", default="pooled,python,naive", help="lanes to run; others keep their last result")
    parser.add_argument("--cycles", type=int, default=20, help="cycles (20)")
    parser.add_argument("--naive-cycles", type=int, default=5, help="cycles of the usual bridge (5)")
    parser.add_argument("--requests", type=int, default=1000, help="requests of a cycle (1000)")
    parser.add_argument("--floor-runs", type=int, default=3, help="runs of the floor; the largest counts (3)")
    parser.add_argument(
        "--add", action="store_true", help="add the runs to the lane's last ones instead of replacing them"
    )
    parser.add_argument("--short", action="store_true", help="small, to see that it works; writes nothing")
    parser.set_defaults(concurrency=96, chars=1_000_000, idle=10.0)
    args = parser.parse_args()
    if args.short:
        args.cycles, args.naive_cycles, args.requests, args.floor_runs = 2, 2, 16, 1
        args.concurrency, args.chars, args.idle = 8, 100_000, 0.1
    return args


def main() -> int:
    """Soaks, judges, writes; exit status 1 if a bound is not kept."""
    args = arguments()
    wanted, lanes = set(filter(None, args.only.split(","))), args.lanes.split(",")
    command = shlex.join(["python", "-m", "bench.soak", *sys.argv[1:]])
    store = RESULTS / "soak.json"
    known = json.loads(store.read_text(encoding="utf-8"))["cases"] if store.exists() else {}
    for case in (case for case in CASES if not wanted or case.key in wanted):
        for lane in (lane for lane in case.lanes if lane in lanes):
            number = args.floor_runs if lane == "python" else 1
            of_case = known.setdefault(stored_as(case), {})
            earlier = of_case[lane]["runs"] if args.add and lane in of_case else []
            of_case[lane] = {
                "command": command,
                "measured_at": datetime.now(UTC).isoformat(timespec="minutes"),
                "python": sys.version.split()[0],
                "requests": args.requests,
                "runs": earlier + [soak(case, lane, args) for _ in range(number)],
            }
            document = {"schema": 1, "machine": machine(), "cases": known}
            if not args.short:
                RESULTS.mkdir(exist_ok=True)
                store.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
                (RESULTS / "soak.md").write_text(markdown(document), encoding="utf-8")
    verdicts = [verdict for key, lanes in known.items() for verdict in judge(key, lanes)]
    print(markdown({"machine": machine(), "cases": known}))
    return 0 if args.short or all(verdict.kept for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
