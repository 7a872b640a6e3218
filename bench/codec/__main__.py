"""Measures the codec beside public ones, lanes interleaved, and writes bench/results/codec.{json,md}.

python -m bench.codec                            everything
python -m bench.codec --only decode/json,/deep   cases whose key holds one of these; others keep their last result
"""

from __future__ import annotations

import argparse
import gc
import json
import shlex
import statistics
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.codec.lanes import (
    DIRECTIONS,
    FORMATS,
    PRODUCT,
    PUBLIC,
    REFERENCE,
    Direction,
    Format,
    Lane,
    lanes,
    problem,
    sample,
)
from bench.codec.payloads import MODEL, PAYLOADS, SMALL
from bench.codec.report import markdown
from pybridge.bench.system import machine

RESULTS = Path(__file__).parent.parent / "results"
CASES: dict[str, tuple[Direction, Format, str]] = {
    f"{direction}/{wire}/{name}": (direction, wire, name)
    for direction in DIRECTIONS
    for wire in FORMATS
    for name in PAYLOADS
    if direction == "encode" or name != MODEL
}

# How many times as long a call may take as that of the fastest library; 1.2 times where nothing is said.
CALLED_AT_MOST: dict[tuple[Direction, str], float] = {
    ("encode", "token dict"): 2.0,
    ("encode", "OpenAI chunk"): 1.6,
    ("decode", "token dict"): 1.3,
}


def targets(direction: Direction, wire: Format, name: str, medians: dict[str, float], peers: list[str]) -> list[Any]:
    """The figures this case is held to, with what was measured."""
    best = min(peers, key=medians.__getitem__)
    at_most = _at_most(direction, wire, name)
    found = []
    if at_most is not None:
        ratio = medians[PRODUCT] / medians[best]
        bound = f"≤ {at_most:.1f} x its time"
        found.append({"against": best, "bound": bound, "ratio": ratio, "reached": ratio <= at_most})
    if name != MODEL:
        ratio, at_most = medians[PUBLIC] / medians[best], CALLED_AT_MOST.get((direction, name), 1.2)
        bound = f"called ≤ {at_most:.1f} x its time"
        found.append({"against": best, "bound": bound, "ratio": ratio, "reached": ratio <= at_most})
    if direction == "encode" and wire == "msgpack" and name in {"token dict", "OpenAI chunk"}:
        ratio = medians[REFERENCE] / medians[PRODUCT]
        found.append(
            {"against": "depythonize + rmp-serde", "bound": "≥ 3 x faster", "ratio": ratio, "reached": ratio >= 3}
        )
    return found


def _at_most(direction: Direction, wire: Format, name: str) -> float | None:
    if direction == "decode":
        return 1.0 if name in SMALL else 1.1
    if name == MODEL:
        return 1.3 if wire == "json" else None
    if wire == "msgpack" or name in SMALL:
        return 1.0
    return 1.2 if "text" in name else None


def measure(key: str, repeat: int, seconds: float) -> dict[str, Any]:
    """One case: every lane once in each round, in turn."""
    direction, wire, name = CASES[key]
    value = PAYLOADS[name]()
    payload = value if direction == "encode" else sample(wire, value)
    runners = lanes(wire, direction, name)
    for lane in runners:
        if wrong := problem(lane, wire, direction, value):
            raise SystemExit(f"{key}: {lane.name} {wrong}")
    sizes = {lane.name: _size(lane, payload, seconds) for lane in runners}
    samples: dict[str, list[float]] = {lane.name: [] for lane in runners}
    gc.collect()
    for _ in range(repeat):
        for lane in runners:
            samples[lane.name].append(lane.timed(payload, sizes[lane.name]))
    medians = {lane: statistics.median(runs) for lane, runs in samples.items()}
    return {
        "key": key,
        "title": f"{direction} {wire}, {name}",
        "direction": direction,
        "format": wire,
        "payload": name,
        "bytes": len(sample(wire, value)),
        "command": shlex.join(["python", "-m", "bench.codec", *sys.argv[1:]]),
        "measured_at": datetime.now(UTC).isoformat(timespec="minutes"),
        "repeats": repeat,
        "targets": targets(direction, wire, name, medians, [lane.name for lane in runners if lane.peer]),
        "medians": medians,
        "spreads": {lane: (max(runs) - min(runs)) / medians[lane] for lane, runs in samples.items()},
    }


def _size(lane: Lane, payload: Any, seconds: float) -> int:
    """How often a lane runs to fill the time."""
    size = 1
    while (took := lane.timed(payload, size) * size / 1e9) < seconds / 4:
        size *= 2
    return max(1, round(size * seconds / took))


def main() -> int:
    """Measures, writes, and says which figures are not reached: exit status 1 if any."""
    parser = argparse.ArgumentParser(prog="python -m bench.codec", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--only", default="", metavar="PART,PART", help="cases whose key holds one of these")
    parser.add_argument("--repeat", type=int, default=15, help="runs of each lane (15)")
    parser.add_argument("--seconds", type=float, default=0.02, help="length of a run (0.02)")
    args = parser.parse_args()
    chosen = [key for key in CASES if any(part in key for part in args.only.split(","))]
    store = RESULTS / "codec.json"
    before = json.loads(store.read_text(encoding="utf-8"))["cases"] if store.exists() else []
    results = {result["key"]: result for result in before}
    for number, key in enumerate(chosen, 1):
        print(f"[{number}/{len(chosen)}] {key}", file=sys.stderr)
        results[key] = measure(key, args.repeat, args.seconds)
    document: dict[str, Any] = {
        "schema": 1,
        "machine": machine(),
        "cases": [results[key] for key in CASES if key in results],
    }
    RESULTS.mkdir(exist_ok=True)
    store.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "codec.md").write_text(markdown(document), encoding="utf-8")
    measured = {**document, "cases": [case for case in document["cases"] if case["key"] in chosen]}
    print(markdown(measured))
    return 0 if all(target["reached"] for case in measured["cases"] for target in case["targets"]) else 1


if __name__ == "__main__":
    sys.exit(main())
