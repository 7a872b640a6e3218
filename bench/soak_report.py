"""Judges a soak against its bounds, and makes a page of it."""

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench.result_files import JUDGED_PYTHON

PARKED_CAP = 36.0
"""MiB that a pool may keep idle: `small_parked_bytes` and `large_parked_bytes`."""

BODIES_IN_FLIGHT = 96.0
"""MiB of request bodies at a time."""

ABOVE_START = {"text": 16.0, "tree": 32.0, "tree-survivors": 48.0}
"""MiB above the start that may stay resident when idle."""

Lanes = dict[str, dict[str, Any]]

HEADINGS = (
    "lane",
    "CPython",
    "cycles x requests",
    "start",
    "after cycles",
    "peak",
    "idle",
    "given back",
    "threads",
    "arenas",
    "requests/s",
    "CPU ms/request",
)


@dataclass(frozen=True)
class Verdict:
    """One figure of the pooled lane with its bound, in MiB; `error` is its standard error, where it is an estimate."""

    figure: str
    value: float
    bound: float
    error: float | None = None

    @property
    def kept(self) -> bool:
        """Whether the bound is kept."""
        return self.value <= self.bound

    @property
    def measured(self) -> str:
        """The value for a table."""
        return f"{self.value:.1f}" if self.error is None else f"{self.value:.1f} ± {self.error:.1f}"

    @property
    def word(self) -> str:
        """The verdict for a table."""
        return "yes" if self.kept else "**no**"


def slope_error(values: Sequence[float]) -> float | None:
    """Standard error of the slope by least squares; None of fewer than three."""
    if len(values) < 3:
        return None
    line = statistics.linear_regression(range(len(values)), values)
    residue = sum((value - line.intercept - line.slope * index) ** 2 for index, value in enumerate(values))
    spread = len(values) * (len(values) ** 2 - 1) / 12
    return math.sqrt(residue / (len(values) - 2) / spread)


def judge(key: str, lanes: Lanes) -> Iterator[Verdict]:
    """What the bounds say of one case; nothing where a lane they need is missing."""
    if "pooled" not in lanes or not lanes["pooled"]["python"].startswith("{}.{}.".format(*JUDGED_PYTHON)):
        return
    pooled = lanes["pooled"]["runs"][0]
    if pooled["slope"] is not None:
        yield Verdict(
            "slope over cycles 3 and later, per cycle, either way",
            abs(pooled["slope"]),
            0.5,
            slope_error(pooled["cycles"][2:]),
        )
    if "python" in lanes:
        floors = lanes["python"]["runs"]
        between = max(max(floor["cycles"]) for floor in floors) + PARKED_CAP + 16
        peak = max(floor["peak"] for floor in floors) + 2 * BODIES_IN_FLIGHT
        yield Verdict("between cycles, at most the floor's + parked cap + 16", max(pooled["cycles"]), between)
        yield Verdict("peak, at most the floor's + 2 x bodies in flight", pooled["peak"], peak)
    if key in ABOVE_START:
        yield Verdict("idle, above the start", pooled["idle"] - pooled["start"], ABOVE_START[key])


def markdown(document: dict[str, Any]) -> str:
    """The page: the bounds first, then what was measured."""
    machine = document["machine"]
    lines = [
        "# Soak",
        "",
        f"{machine['cores']} cores of {machine['cpu']}, {machine['system']}. Cycles of requests of 1 MB, 96 at a",
        'time, one after the other without a pause; `idle_release="all"`, `min_gain="8MiB"`. Sizes in MiB. `python` is',
        "the floor: the same handler and bodies without a bridge; of its runs the largest counts. `survivors`: one",
        'small object of each request lives on, and `python_allocator="system"`. Idle is 10 s after the last cycle.',
        "`±` is the standard error of a slope. Bounds are for CPython 3.11.",
        "",
        "| case | figure of the pooled lane | bound | measured | kept |",
        "| --- | --- | --- | --- | --- |",
    ]
    for key, lanes in document["cases"].items():
        lines += [
            f"| {key} | {verdict.figure} | {verdict.bound:.1f} | {verdict.measured} | {verdict.word} |"
            for verdict in judge(key, lanes)
        ]
    for key, lanes in document["cases"].items():
        lines += ["", f"## {key}", "", *lane_lines(lanes)]
    return "\n".join(lines) + "\n"


def lane_lines(lanes: Lanes) -> Iterator[str]:
    """A table of the lanes' runs, and their commands."""
    yield "| " + " | ".join(HEADINGS) + " |"
    yield "|" + " --- |" * len(HEADINGS)
    for name, lane in lanes.items():
        for run in lane["runs"]:
            after = f"{min(run['cycles']):.0f}-{max(run['cycles']):.0f}, last {run['cycles'][-1]:.0f}"
            given = f"{run['released']:.0f} in {run['release_ms']:.0f} ms" if run["released"] else "-"
            cells = (
                name,
                lane["python"],
                f"{len(run['cycles'])} x {lane['requests']}",
                f"{run['start']:.0f}",
                after,
                f"{run['peak']:.0f}",
                f"{run['idle']:.0f}",
                given,
                str(run["threads"]),
                str(run["arenas"]),
                f"{run['requests_per_s']:.0f}",
                f"{run['cpu_ms']:.2f}",
            )
            yield "| " + " | ".join(cells) + " |"
    yield ""
    yield from (f"* {name}: `{lane['command']}`, {lane['measured_at']}" for name, lane in lanes.items())
