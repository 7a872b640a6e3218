"""Files of results: those of the Python whose figures are judged under their own name, those of others beside them."""

import argparse
import json
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pybridge.bench.system import machine

RESULTS = Path(__file__).parent / "results"
JUDGED_PYTHON = (3, 11)
"""The CPython that targets and bounds are for."""


def stored(name: str) -> Path:
    """The file with the figures of this Python: `streams.json`, or `streams-3.14.json`."""
    version = sys.version_info[:2]
    return RESULTS / (f"{name}.json" if version == JUDGED_PYTHON else f"{name}-{version[0]}.{version[1]}.json")


def before(name: str) -> dict[str, Any]:
    """The figures of the last run with this Python; empty where there are none."""
    document: dict[str, Any] = json.loads(stored(name).read_text(encoding="utf-8")) if stored(name).exists() else {}
    return document


def arguments(module: str, description: str | None) -> tuple[tuple[str, ...], int]:
    """The command line of a bench: the beginnings of keys of cases that are measured, and the runs of each lane."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--only", default="", help="cases whose key begins with one of these, separated by commas")
    parser.add_argument("--repeat", type=int, default=5, help="runs of each lane (5)")
    given = parser.parse_args()
    return tuple(given.only.split(",")), given.repeat


def judged_beside(name: str) -> dict[str, Any] | None:
    """The figures to compare with where those of this Python are not the judged ones."""
    judged = RESULTS / f"{name}.json"
    if stored(name) == judged or not judged.exists():
        return None
    document: dict[str, Any] = json.loads(judged.read_text(encoding="utf-8"))
    return document


def write(name: str, document: dict[str, Any], page: str) -> None:
    """Writes the figures, and the page beside them."""
    RESULTS.mkdir(exist_ok=True)
    file = stored(name)
    file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    file.with_suffix(".md").write_text(page, encoding="utf-8")


def stamp(module: str) -> dict[str, Any]:
    """Where, when and by which command figures were measured: the beginning of their document."""
    return {
        "schema": 1,
        "machine": machine(),
        "command": shlex.join(["python", "-m", module, *sys.argv[1:]]),
        "measured_at": datetime.now(UTC).isoformat(timespec="minutes"),
    }


def said(*, reached: bool) -> str:
    """Whether a target is reached, as a page tells it."""
    return "yes" if reached else "**no**"


def target(name: str, value: float, bound: float, *, is_most: bool = True) -> dict[str, Any]:
    """A figure and what it is held to: at most, or at least, `bound`."""
    reached = value <= bound if is_most else value >= bound
    return {"name": name, "value": value, "bound": bound, "is_most": is_most, "reached": reached}


def bound_text(target: dict[str, Any]) -> str:
    """What a figure is held to, as a page tells it."""
    return f"{'≤' if target['is_most'] else '≥'} {target['bound']:.3g}"


def target_row(target: dict[str, Any]) -> str:
    """A row for one target: what, measured, bound, reached."""
    return row(target["name"], f"{target['value']:.3g}", bound_text(target), said(reached=target["reached"]))


def row(*cells: str) -> str:
    """A row of a table."""
    return f"| {' | '.join(cells)} |"
