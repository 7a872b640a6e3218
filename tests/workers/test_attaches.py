"""Runtime threads leave the interpreter alone."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from pybridge.bench.bridged import PooledLane
from pybridge.bench.protocol import Plan

STREAMS, ITEMS = 256, 500


async def counting(number: int) -> AsyncGenerator[int, None]:
    for index in range(number):
        yield index


def test_runtime_threads_do_not_attach_and_hand_overs_follow_batches() -> None:
    """T-01"""
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
