"""What no test may leave behind."""

from __future__ import annotations

import gc

import pybridge
from pybridge.engine import live_engines

from support.waiting import wait_until


def assert_nothing_left() -> None:
    """Waits until nothing is live any more, in any engine or pool; fails naming what stays."""
    gc.collect()
    if not _left():
        return
    wait_until(lambda: not _left(), "nothing left behind", deadline=8.0)


def _left() -> dict[str, object]:
    left: dict[str, object] = {}
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
        left |= {f"{engine}: {name}": count for name, count in counts.items() if count}
    if pool_live := pybridge.memory().pool_live:
        left["pool bytes of the process"] = pool_live
    return left
