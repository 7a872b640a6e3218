"""What no test may leave behind."""

from __future__ import annotations

import functools
import gc
import sys
from collections.abc import Callable

from pybridge.engine import live_engines

from support.waiting import wait_until


def assert_nothing_left() -> None:
    """Waits until nothing is live any more, in any engine or pool; fails naming what stays."""
    gc.collect()
    wait_until(lambda: not left(), lambda: f"nothing left behind: {left()}", deadline=20.0)


def left() -> dict[str, object]:
    """What is live, by name; empty when all is well."""
    found: dict[str, object] = {}
    for engine in live_engines():
        stats = engine.stats()
        counts = {
            "live streams": stats.streams.live,
            "queued calls": stats.streams.queued,
            "pool bytes": stats.pool.live_bytes,
            "bytes in flight": stats.flow.in_flight_bytes,
            "decoded bytes": stats.flow.decoded_bytes,
            "deferred releases": stats.deferred_releases,
        }
        found |= {f"{engine}: {name}": count for name, count in counts.items() if count}
    return found


def reference_count(thing: object) -> Callable[[], int]:
    """Counts the references to `thing` in the same way each time.

    From CPython 3.14 on `sys.getrefcount(name)` counts its own argument in some places and not in others.
    """
    return functools.partial(sys.getrefcount, thing)
