"""Items are captured when they are yielded: a handler may change and yield one object again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from pybridge import FlowConfig

from support.consumers import SlowConsumer, collect
from support.engines import EngineMaker
from support.reference import snapshot


@pytest.mark.guarantee("S-02")
@pytest.mark.parametrize("batch", [1, 8, 64])
@pytest.mark.parametrize("slow", [False, True], ids=["fast", "slow"])
async def test_item_is_captured_when_it_is_yielded(make_engine: EngineMaker, batch: int, slow: bool) -> None:
    snapshots: list[Any] = []

    async def handler(request: object) -> AsyncGenerator[dict[str, Any], None]:
        item: dict[str, Any] = {"n": 0, "nested": []}

        async def scribble() -> None:
            while True:
                item["scribbled"] = item.get("scribbled", 0) + 1
                await asyncio.sleep(0)

        scribbler = asyncio.create_task(scribble())
        try:
            for number in range(64):
                item["n"] = number
                item["nested"].append(number)
                snapshots.append(snapshot(item))
                yield item
                item["nested"][0] = "changed"
                if number % 16 == 0:
                    await asyncio.sleep(0)
        finally:
            scribbler.cancel()

    flow = FlowConfig(batch_items=batch, high_water_items=10)
    engine = make_engine(handler, flow=flow)
    if slow:
        async with SlowConsumer(engine(None)) as consumer:
            for number in range(1, 65):
                consumer.allow(1)
                await consumer.until_taken(number)
            assert consumer.items == snapshots
    else:
        assert await collect(engine(None)) == snapshots
