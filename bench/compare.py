"""Compares this build with another checkout's: every stream figure and the codec, in turn.

python -m bench.compare OTHER                       the engine's lanes and the codec
python -m bench.compare OTHER --only tight,encode   figures whose key begins so

OTHER is a checkout with an optimised build in its .venv (`make build`). Each build runs the benchmark's code of its own
checkout. A figure is worse only where the median moved by more than the wider distance between quartiles.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bench.figure_cases import STREAMS
from bench.figures import StreamCase
from pybridge.bench.process import LaneError, LaneProcess
from pybridge.bench.protocol import Lane

HERE = Path(__file__).parents[1]
OWN_LANES = {"pooled", "pooled-suspend", "frames", "chunks"}
SIDES = ("other", "this")

# Runs in the other checkout as well, so it uses only what every build has.
CODEC = """
import json, sys, time
from collections import deque
from itertools import repeat
import pybridge
from bench.codec.lanes import sample
from bench.codec.payloads import PAYLOADS
from pybridge.bench.codec import repeat as inside

def called(function, payload, repetitions):
    start = time.perf_counter_ns()
    deque(map(function, repeat(payload, repetitions)), maxlen=0)
    return (time.perf_counter_ns() - start) / repetitions

def timed(run, known={}):
    def best(key):
        if key not in known:
            once = run(1)
            known[key] = max(1, round(2e7 / max(run(max(1, round(2e6 / once))), 1)))
        return min(run(known[key]) for _ in range(3))
    return best

for line in sys.stdin:
    direction, wire, name = line.strip().split("/")
    found = {}
    if name in PAYLOADS:
        value = PAYLOADS[name]()
        payload = value if direction == "encode" else sample(wire, value)
        public = getattr(pybridge, direction)
        function = public if wire == "msgpack" else lambda it: public(it, "json")
        found["in streams"] = timed(lambda n: inside(direction, wire, payload, n))((line, 0))
        found["called"] = timed(lambda n: called(function, payload, n))((line, 1))
    print(json.dumps(found), flush=True)
"""


@dataclass(frozen=True)
class Row:
    """One figure of both builds."""

    key: str
    other: list[float]
    this: list[float]
    more_is_better: bool

    @property
    def ratio(self) -> float:
        """The median of this build divided by the other's."""
        return statistics.median(self.this) / statistics.median(self.other)

    @property
    def spread(self) -> float:
        """The wider distance between quartiles, as a part of the other build's median."""
        distances = []
        for runs in (self.other, self.this):
            low, _, high = statistics.quantiles(runs, n=4)
            distances.append(high - low)
        return max(distances) / statistics.median(self.other)

    @property
    def verdict(self) -> str:
        """Whether the medians differ by more than the spread, and which way."""
        change = self.ratio - 1 if self.more_is_better else 1 - self.ratio
        return "same" if abs(change) <= self.spread else ("better" if change > 0 else "WORSE")


class CodecProcess:
    """The codec of one checkout in a process of its own."""

    def __init__(self, checkout: Path) -> None:
        command = [str(checkout / ".venv/bin/python"), "-c", CODEC]
        self.process = subprocess.Popen(
            command, cwd=checkout, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def sample(self, key: str) -> dict[str, float]:
        """Nanoseconds of one operation, by lane."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{key}\n")
        return dict(json.loads(self.process.stdout.readline()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()


def compare_streams(other: Path, repeat: int, seconds: float, prefixes: tuple[str, ...]) -> list[Row]:
    """The lanes of ours in every stream case, both builds in turn."""
    checkouts = dict(zip(SIDES, (other, HERE), strict=True))
    rows: list[Row] = []
    for case in STREAMS:
        for lane in (lane for lane in case.lanes if lane in OWN_LANES and case.key.startswith(prefixes)):
            print(f"{case.key}, {lane}", file=sys.stderr)
            samples: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
            with ExitStack() as stack:
                runners = {}
                for side, checkout in checkouts.items():
                    process = stack.enter_context(LaneProcess(Lane(name=lane), checkout=checkout))
                    runners[side] = StreamCase(case, {lane: process}, seconds)
                    runners[side].calibrate(lane)
                for _ in range(repeat):
                    for side, runner in runners.items():
                        samples[side].append(runner.sample(lane))
            for name in (name for name in samples["this"][0] if case.requests_only or name != "requests_per_s"):
                other_runs, this_runs = ([sample[name] for sample in samples[side]] for side in SIDES)
                if statistics.median(other_runs) > 0:
                    rows.append(Row(f"{case.key}, {lane}: {name}", other_runs, this_runs, name.endswith("_per_s")))
    return rows


def compare_codec(other: Path, repeat: int, prefixes: tuple[str, ...]) -> list[Row]:
    """Every payload in both formats and directions, both builds in turn."""
    from bench.codec.__main__ import CASES  # noqa: PLC0415 - needs encoders that the streams do not

    rows: list[Row] = []
    with CodecProcess(other) as before, CodecProcess(HERE) as after:
        for key in (key for key in CASES if key.startswith(prefixes)):
            print(key, file=sys.stderr)
            runs = [(before.sample(key), after.sample(key)) for _ in range(repeat)]
            rows += [
                Row(f"{key}, {lane}: ns", [run[0][lane] for run in runs], [run[1][lane] for run in runs], False)
                for lane in runs[0][0].keys() & runs[0][1].keys()
            ]
    return rows


def table(rows: list[Row]) -> str:
    """The comparison as Markdown."""
    lines = ["| figure | other | this | this / other | spread | |", "| --- | ---: | ---: | ---: | ---: | --- |"]
    for row in rows:
        other, this = statistics.median(row.other), statistics.median(row.this)
        lines.append(f"| {row.key} | {other:,.4g} | {this:,.4g} | {row.ratio:.3f} | {row.spread:.3f} | {row.verdict} |")
    return "\n".join(lines)


def main() -> int:
    """Compares and prints a table; exit status 1 if a figure is worse."""
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("other", type=lambda text: Path(text).resolve(), metavar="OTHER", help="the other checkout")
    parser.add_argument("--only", default="", metavar="KEY,KEY", help="figures whose key begins with one of these")
    parser.add_argument("--repeat", type=int, default=7, help="runs of each build (7)")
    parser.add_argument("--seconds", type=float, default=0.5, help="length of a run of a stream (0.5)")
    args = parser.parse_args()
    prefixes = tuple(args.only.split(","))
    try:
        rows = compare_streams(args.other, args.repeat, args.seconds, prefixes)
    except LaneError as error:
        parser.error(str(error))
    rows += compare_codec(args.other, args.repeat, prefixes)
    print(table(rows))
    return int(any(row.verdict == "WORSE" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
