"""Statistics of the process's memory: what pools, Python and malloc have, and what was given back."""

from __future__ import annotations

from pybridge import _pybridge
from pybridge.stats import MemoryStats


def memory() -> MemoryStats:
    """Says whose the process's memory is, now, and what was given back lately.

    Asks malloc, which takes its locks and walks its free lists: milliseconds where there are many. Does not suspend.
    """
    return recent_memory(0.0)


def recent_memory(malloc_age: float) -> MemoryStats:
    """As `memory`, but figures of malloc may be `malloc_age` seconds old: for those who ask often."""
    return MemoryStats.from_raw(_pybridge.memory_snapshot(malloc_age))
