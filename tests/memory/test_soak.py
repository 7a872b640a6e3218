"""The short form of `make soak`: through the real engine, judged by the bounds that hold in a short run."""

from __future__ import annotations

from typing import Any

import pytest

from pybridge.bench import memory

MIB_OF_BODIES = 16
PARKED_MIB = 36
SETTINGS: dict[str, Any] = {"chars": 1_000_000, "concurrency": MIB_OF_BODIES, "requests": 32, "cycles": 2, "idle": 8.0}


def rows(lane: str, payload: memory.Payload, **more: Any) -> dict[Any, dict[str, Any]]:
    report = memory.measure(memory.Settings(lanes=(lane,), payload=payload, **(SETTINGS | more)), lambda label: None)
    assert not report.problems
    return {row["cycle"]: row for row in report.rows}


@pytest.mark.guarantee("M-16")
@pytest.mark.parametrize(("payload", "above_start"), [("text", 16), ("tree", 32)])
def test_burst_leaves_nothing_behind_and_costs_little_above_the_floor(payload: Any, above_start: int) -> None:
    """It compares what is resident when idle, the peak without a bridge, and the number of threads."""
    pooled, floor = rows("pooled", payload), rows("python", payload, idle=0.0)
    assert pooled["idle"]["rss_mib"] <= pooled[0]["rss_mib"] + above_start
    assert pooled["idle"]["peak_mib"] <= floor["idle"]["peak_mib"] + 2 * MIB_OF_BODIES + PARKED_MIB
    between = [max(lane[cycle]["rss_mib"] for cycle in range(1, SETTINGS["cycles"] + 1)) for lane in (pooled, floor)]
    assert between[0] <= between[1] + PARKED_MIB + 16
    assert max(row["threads"] for row in pooled.values()) <= 8


def test_survivors_hold_little_with_the_systems_allocator() -> None:
    settings = {"idle_release": "all", "min_gain": "8MiB", "python_allocator": "system"}
    pooled = rows("pooled", "tree", survivors=True, memory=settings)
    assert pooled["idle"]["rss_mib"] <= pooled[0]["rss_mib"] + 48
