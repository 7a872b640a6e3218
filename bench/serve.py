"""Measures `pybridge serve` beside other servers over one handler, and writes bench/results/serve.{json,md,png}; with
another CPython than 3.11 bench/results/serve-3.X.{json,md,png}.

python -m bench.serve                       everything, about half an hour
python -m bench.serve --only awaiting       cases whose key begins so; others keep their last result

Each server in a process of its own, runs of all servers of a case in turn; a client in Rust on the same machine. What
counts is the CPU of the server for each item.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

from bench.result_files import arguments, before, stamp, stored, target, write
from bench.serve_cases import CASES, PACE_US, PEERS, Case, start
from bench.serve_page import markdown, plot
from bench.servers import build

FIGURES = ("cpu_us", "items_per_s", "first_p50_us", "first_p99_us", "gap_p50_us", "gap_p99_us")


def measure(case: Case, repeat: int) -> dict[str, Any]:
    """All servers in turn, so many times after a first one that does not count; medians."""
    measured = stamp("bench.serve")
    body = {"items": case.items or 1}
    rounds: dict[str, list[dict[str, float]]] = {way: [] for way in case.ways()}
    with ExitStack() as stack:
        running = {way: stack.enter_context(start(way, case.handler)) for way in rounds}
        for number in range(repeat + 1):
            for way, server in running.items():
                found = server.load(case.connections, case.requests_of(way), case.items, body)
                if number:
                    rounds[way].append(found)
    medians = {
        way: {figure: statistics.median(found[figure] for found in all_of) for figure in FIGURES}
        for way, all_of in rounds.items()
    }
    spreads = {way: _spread([found["cpu_us"] for found in all_of]) for way, all_of in rounds.items()}
    targets = _targets(case, rounds)
    return {
        "key": case.key,
        "title": case.title,
        "repeats": repeat,
        "command": measured["command"],
        "measured_at": measured["measured_at"],
        "servers": medians,
        "spreads": spreads,
        "targets": targets,
    }


def _spread(values: list[float]) -> float:
    return (max(values) - min(values)) / statistics.median(values)


def _targets(case: Case, rounds: dict[str, list[dict[str, float]]]) -> list[dict[str, Any]]:
    """What is to be reached, as ratios within each round."""

    def against_best(figure: str, best: Callable[[Iterable[float]], float], floor: float = 0) -> list[float]:
        peers = zip(*(rounds[peer] for peer in PEERS), strict=True)
        bests = [best(found[figure] for found in each) for each in peers]
        return [(ours[figure] - floor) / (other - floor) for ours, other in zip(rounds["serve"], bests, strict=True)]

    def against_raw() -> list[float]:
        return [ours["cpu_us"] / floor["cpu_us"] for ours, floor in zip(rounds["serve"], rounds["raw"], strict=True)]

    wanted: tuple[tuple[str, float | None, Callable[[], list[float]], bool], ...] = (
        ("CPU / best of uvicorn and Granian", case.cpu, lambda: against_best("cpu_us", min), True),
        ("items/s / best of uvicorn and Granian", case.rate, lambda: against_best("items_per_s", max), False),
        ("p99 of gaps / best of uvicorn and Granian", case.gap, lambda: against_best("gap_p99_us", min), True),
        ("the same beyond the pace", case.gap, lambda: against_best("gap_p99_us", min, PACE_US), True),
        ("CPU / raw protocol", case.raw, against_raw, True),
    )
    found = []
    for name, bound, compare, is_most in wanted:
        if bound is not None:
            ratios = compare()
            value = statistics.median(ratios)
            found.append({**target(name, value, bound, is_most=is_most), "range": [min(ratios), max(ratios)]})
    return found


def main() -> int:
    """Measures, writes, and says which figures are not reached: exit status 1 if any."""
    wanted, repeat = arguments("bench.serve", __doc__)
    build()
    last = before("serve")
    kept = {found["key"]: found for found in last.get("cases", [])}
    for case in CASES:
        if case.key.startswith(wanted):
            print(f"{case.title} ...", file=sys.stderr, flush=True)
            kept[case.key] = measure(case, repeat)
    document = {**stamp("bench.serve"), "cases": [kept[case.key] for case in CASES if case.key in kept]}
    picture = stored("serve").with_suffix(".png")
    plot(document, picture)
    page = markdown(document, picture.name)
    write("serve", document, page)
    print(page)
    targets = [each for case in document["cases"] for each in case["targets"]]
    return 0 if all(each["reached"] for each in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
