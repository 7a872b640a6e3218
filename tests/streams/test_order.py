"""Items arrive as they were yielded, in the order in which they were yielded."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest

from pybridge import FlowConfig, PooledEngine

from support.consumers import collect
from support.engines import EngineMaker
from support.reference import drive, outcome_of
from support.waiting import turns


async def program(seed: int) -> AsyncGenerator[Any, None]:
    """A handler that does what chance says: waits, yields fresh and reused objects, mutates them, raises."""
    chance = random.Random(seed)
    reused: dict[str, Any] = {"n": 0, "list": []}
    for step in range(chance.randrange(120)):
        match chance.randrange(8):
            case 0:
                await asyncio.sleep(0)
            case 1:
                await turns(chance.randrange(4))
            case 2:
                reused["list"].append(step)
                yield reused
            case 3:
                reused["n"] = step
                yield reused
                reused["n"] = -1
            case 4:
                yield "x" * chance.choice([0, 1, 30, 5_000, 70_000])
            case 5 if chance.random() < 0.05:
                raise ValueError(f"step {step}")
            case _:
                yield [step, None, {"deep": [reused["n"]]}]


@pytest.mark.guarantee("S-01")
@pytest.mark.parametrize("batch", [1, 8, 64])
async def test_any_handler_gives_what_it_gives_without_the_bridge(make_engine: EngineMaker, batch: int) -> None:
    engine = make_engine(program, flow=FlowConfig(batch_items=batch))
    for seed in range(batch * 100, batch * 100 + 20):
        assert await outcome_of(engine(seed)) == await drive(program, seed)
        assert await outcome_of(frames_of(engine, seed)) == await drive(program, seed)


async def frames_of(engine: PooledEngine, request: Any) -> AsyncIterator[Any]:
    async for frame in engine.frames(request):
        yield frame.decode()


@pytest.mark.guarantee("S-01")
async def test_streams_that_run_together_keep_their_own_order(make_engine: EngineMaker) -> None:
    engine = make_engine(program)
    together = await asyncio.gather(*(outcome_of(engine(seed)) for seed in range(64)))
    assert together == [await drive(program, seed) for seed in range(64)]


@pytest.mark.guarantee("S-11")
@pytest.mark.parametrize("items", [[], [None], [b""], [None, b"", "", [], {}], [None] * 1000], ids=len)
async def test_nothing_is_a_value_and_no_value_is_an_end(make_engine: EngineMaker, items: list[Any]) -> None:
    async def handler(request: list[Any]) -> AsyncGenerator[Any, None]:
        for item in request:
            yield item

    engine = make_engine(handler)
    assert await collect(engine(items)) == items
    assert [frame.decode() async for frame in engine.frames(items)] == items
    assert engine.stats().streams.finished == 2


@pytest.mark.guarantee("S-11")
@pytest.mark.parametrize("number", [0, 1, 300])
async def test_empty_raw_items_are_frames_of_no_bytes(make_engine: EngineMaker, number: int) -> None:
    async def handler(request: int) -> AsyncGenerator[bytes, None]:
        for _ in range(request):
            yield b""

    engine = make_engine(handler, codec="raw")
    assert [bytes(frame) async for frame in engine.frames(number)] == [b""] * number
