"""Reads that are cancelled while they wait for an item lose none."""

from __future__ import annotations

import asyncio

import pytest

from support.consumers import collect
from support.engines import EngineMaker
from support.gates import opened_at_gate
from support.waiting import turns


@pytest.mark.guarantee("C-10")
async def test_wait_for_loses_no_item(make_engine: EngineMaker) -> None:
    stream, gate = await opened_at_gate(make_engine)
    for number in range(1, 10):
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(stream.__anext__(), 0)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(stream.__anext__(), 0.001)
        gate.allow()
        assert await asyncio.wait_for(stream.__anext__(), 10) == number
    assert await collect(stream) == []


@pytest.mark.guarantee("C-10")
async def test_item_that_arrives_while_its_wait_is_cancelled_is_not_lost(make_engine: EngineMaker) -> None:
    stream, gate = await opened_at_gate(make_engine)
    taken = []
    for pause in range(9):
        pending = asyncio.ensure_future(stream.__anext__())
        await turns(1)
        gate.allow()
        await turns(pause)
        pending.cancel()
        try:
            taken.append(await pending)
        except asyncio.CancelledError:
            taken.append(await anext(stream))
    assert taken == list(range(1, 10))
    assert await collect(stream) == []
