"""The check that a test leaves nothing live in any engine or pool."""

from __future__ import annotations

import functools
import gc
import sys
from collections.abc import Callable

from pybridge import metrics_text

from support.waiting import wait_until

NOTHING_LEFT = tuple(
    f"pybridge_{name}{{"
    for name in (
        "streams_live",
        "streams_queued",
        "pool_live_bytes",
        "in_flight_bytes",
        "decoded_bytes",
        "deferred_releases",
    )
)
"""What samples begin with whose value is 0 when all is well."""


def assert_nothing_left() -> None:
    """Waits until nothing is live any more, in any engine or pool; fails naming what stays."""
    gc.collect()
    wait_until(lambda: not left(), lambda: f"nothing left behind: {left()}", deadline=20.0)


def left(metrics: str | None = None) -> dict[str, object]:
    """What is live here, or in the process whose metrics these are, by name; empty when all is well."""
    text = metrics_text() if metrics is None else metrics
    samples = (line.rsplit(" ", 1) for line in text.splitlines() if line.startswith(NOTHING_LEFT))
    return {name: value for name, value in samples if value != "0"}


def reference_count(thing: object) -> Callable[[], int]:
    """Counts the references to `thing` in the same way each time.

    From CPython 3.14 on `sys.getrefcount(name)` counts its own argument in some places and not in others.
    """
    return functools.partial(sys.getrefcount, thing)
