"""Engines on every kind of worker."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from pybridge import PooledEngine, Worker

EngineMaker = Callable[..., PooledEngine]
"""Takes what `PooledEngine` takes, without `worker`."""

PLACEMENTS = ("attached", "dedicated", "uvloop-worker")


@functools.cache
def uvloop_worker() -> Worker:
    """One worker on uvloop for all tests: its thread lives as long as the process."""
    return Worker(loop="uvloop", name="uvloop-worker")


def make_engine(placement: str, handler: Any, **settings: Any) -> PooledEngine:
    """An engine whose handlers run where the placement says."""
    worker: Any = uvloop_worker() if placement == "uvloop-worker" else placement
    return PooledEngine(handler, worker=worker, **settings)
