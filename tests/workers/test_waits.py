"""The interpreter is asked for once a turn, not once an item."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager

import pytest

from pybridge.bench.bridged import PooledLane
from pybridge.bench.protocol import Plan

STREAMS, ITEMS = 64, 2000


async def counting(number: int) -> AsyncGenerator[int, None]:
    for index in range(number):
        yield index


@contextmanager
def burning(threads: int) -> Iterator[None]:
    """So many threads compute in Python meanwhile."""
    over = threading.Event()

    def burn() -> None:
        while not over.is_set():
            sum(range(1000))

    burners = [threading.Thread(target=burn) for _ in range(threads)]
    for burner in burners:
        burner.start()
    try:
        yield
    finally:
        over.set()
        for burner in burners:
            burner.join()


@pytest.mark.parametrize("burners", [0, 1, 4])
@pytest.mark.parametrize("streams", [1, STREAMS])
def test_interpreter_waits_follow_turns_and_not_items(streams: int, burners: int) -> None:
    """T-02: every return to the interpreter is one that may wait for another thread."""
    lane = PooledLane("asyncio")
    plan = Plan(
        handler=f"{__name__}:counting",
        bodies=[str(ITEMS).encode()],
        concurrency=streams,
        requests=streams,
        codec="json",
    )
    with burning(burners):
        result = lane.run(plan)
    stats = lane.engine(plan).stats()
    assert result.items == streams * ITEMS
    # A start, a resume for each time that credit ran out, and a handful to spare.
    assert sum(stats.attaches.values()) <= 2 * streams + stats.flow.waits + 8, stats.attaches
