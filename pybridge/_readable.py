"""Snapshots laid out for people: what `str()` and `print()` make of them."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

from pybridge._sizes import format_size

SIZES = frozenset(
    {
        "bytes",
        "capacity",
        "high_water",
        "low_water",
        "malloc_free",
        "malloc_in_use",
        "pool_live",
        "pool_parked",
        "pool_pinned",
        "released",
        "resident",
    }
)
"""Fields that hold bytes, beside those whose name ends with `_bytes`."""


class Readable:
    """A dataclass whose text has a line for each field, and an indented block for each dataclass inside it."""

    __slots__ = ()

    def __str__(self) -> str:
        return "\n".join([type(self).__name__, *_block(self)])


def histogram_text(bounds: tuple[float, ...], counts: tuple[int, ...]) -> str:
    """The ranges that hold values, each with their number: `<=0.01: 5, >0.1: 1`."""
    lower = (None, *bounds)
    ranges = [
        f"<={upper:g}: {number:,}" if upper != float("inf") else f">{below:g}: {number:,}"
        for below, upper, number in zip(lower, bounds, counts, strict=False)
        if number
    ]
    return ", ".join(ranges) or "none"


def _block(snapshot: Any) -> Iterator[str]:
    values = {field.name: getattr(snapshot, field.name) for field in dataclasses.fields(snapshot)}
    width = max(map(len, values))
    for name, value in values.items():
        if isinstance(value, tuple) and value:
            yield f"  {name}"
            yield from (f"    {_row(entry)}" for entry in value)
        elif dataclasses.is_dataclass(value) and not _has_text(value):
            yield f"  {name}"
            yield from (f"  {line}" for line in _block(value))
        else:
            yield f"  {name:<{width}}  {_text(name, value)}"


def _has_text(value: object) -> bool:
    """Whether its class says what it looks like on one line."""
    return type(value).__str__ not in (object.__str__, Readable.__str__)


def _row(snapshot: Any) -> str:
    names = (field.name for field in dataclasses.fields(snapshot))
    return ", ".join(f"{name} {_text(name, getattr(snapshot, name))}" for name in names)


def _text(name: str, value: Any) -> str:
    match value:
        case Mapping():
            text = ", ".join(f"{key} {_text(name, number)}" for key, number in value.items() if number) or "none"
        case ():
            text = "none"
        case int() if name.endswith("_bytes") or name in SIZES:
            text = format_size(value)
        case int() if not isinstance(value, bool):
            text = f"{value:,}"
        case float() if name == "when":
            text = dt.datetime.fromtimestamp(value, dt.UTC).isoformat(timespec="seconds")
        case float():
            text = f"{value:.4g}"
        case _:
            text = str(value)
    return text
