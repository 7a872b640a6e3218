"""Runtime threads leave the interpreter alone; workers ask for it once a turn, not once an item."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager

import pytest

from pybridge.bench.bridged import PooledLane
from pybridge.bench.protocol import Plan

STREAMS, ITEMS = 256, 500


async def counting(number: int) -> AsyncGenerator[int, None]:
    for index in range(number):
        yield index


@pytest.mark.guarantee("P-14")
def test_runtime_threads_do_not_attach_and_hand_overs_follow_batches() -> None:
    lane = PooledLane("asyncio")
    plan = Plan(
        handler=f"{__name__}:counting",
        bodies=[str(ITEMS).encode()],
        concurrency=STREAMS,
        requests=STREAMS,
        codec="json",
    )
    result = lane.run(plan)
    stats = lane.engine(plan).stats()
    assert result.items == STREAMS * ITEMS
    assert stats.attaches
    assert not [name for name in stats.attaches if name.startswith("pybridge-rt")], stats.attaches
    batches = STREAMS * (ITEMS // stats.flow.config.batch_items + 1)
    assert stats.crossings <= batches + STREAMS, stats.crossings
    assert sum(stats.attaches.values()) < STREAMS, stats.attaches


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
@pytest.mark.parametrize("streams", [1, 64])
def test_interpreter_waits_follow_turns_and_not_items(streams: int, burners: int) -> None:
    """Every return to the interpreter is one that may wait for another thread."""
    lane = PooledLane("asyncio")
    plan = Plan(
        handler=f"{__name__}:counting",
        bodies=[str(2_000).encode()],
        concurrency=streams,
        requests=streams,
        codec="json",
    )
    with burning(burners):
        result = lane.run(plan)
    stats = lane.engine(plan).stats()
    assert result.items == streams * 2_000
    # A start, a resume for each time that credit ran out, and a handful to spare.
    assert sum(stats.attaches.values()) <= 2 * streams + stats.flow.waits + 8, stats.attaches
