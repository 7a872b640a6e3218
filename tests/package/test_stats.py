"""`engine.stats()` on real streams."""

from __future__ import annotations

import asyncio
import dataclasses
import pickle
from collections.abc import AsyncIterator
from typing import Any

import pytest

import pybridge
from pybridge import EngineClosed, EngineStats, FlowConfig, Overloaded, PoolConfig, PooledEngine, StreamCancelled
from pybridge._sizes import format_size
from pybridge.stats import Release

from support.consumers import collect, take


async def handler(request: int) -> AsyncIterator[dict[str, int]]:
    for number in range(request):
        yield {"n": number}


async def waits(request: int) -> AsyncIterator[int]:
    yield request
    await asyncio.Event().wait()


async def failing(request: object) -> AsyncIterator[int]:
    yield 1
    raise KeyError("lost")


@pytest.mark.guarantee("E-20")
async def test_snapshot_counts_streams_by_ending_frames_and_bytes() -> None:
    async with PooledEngine(handler) as engine:
        assert len(await collect(engine(10))) == 10
        stream = engine(1000)
        await take(stream, 1)
        await stream.aclose()
        stats = engine.stats()
    assert (stats.streams.started, stats.streams.live, stats.streams.finished) == (2, 0, 1)
    assert stats.streams.cancelled["caller"] == 1
    assert stats.frames >= 11
    assert stats.bytes >= 4 * stats.frames
    assert stats.crossings >= 1


@pytest.mark.guarantee("E-20")
async def test_failure_is_counted_by_class() -> None:
    async with PooledEngine(failing) as engine:
        with pytest.raises(KeyError):
            await collect(engine(None))
        stats = engine.stats()
    assert (stats.streams.raised, stats.errors) == (1, {"KeyError": 1})


@pytest.mark.guarantee("F-07")
async def test_refused_calls_are_counted_as_that_and_as_nothing_else() -> None:
    async with PooledEngine(waits, flow=FlowConfig(max_concurrency=1, max_queue=0)) as engine, engine(1) as stream:
        assert await anext(stream) == 1
        with pytest.raises(Overloaded):
            await engine.call(2)
        with pytest.raises(Overloaded):
            await asyncio.gather(collect(engine.frames(2)), collect(engine.chunks(2)))
    with pytest.raises(EngineClosed):
        await engine.call(3)
    stats = engine.stats()
    streams = stats.streams
    assert (streams.started, streams.live, streams.finished, streams.raised) == (1, 0, 0, 0)
    assert (streams.refused, stats.errors) == (4, {})
    assert {reason: number for reason, number in streams.cancelled.items() if number} == {"caller": 1}


async def test_effective_settings_are_in_the_snapshot() -> None:
    flow = FlowConfig(batch_items=3)
    async with PooledEngine(handler, flow=flow, pool=PoolConfig(segment_bytes="128KiB")) as engine:
        stats = engine.stats()
    assert stats.flow.config == flow
    assert stats.pool.config.segment_bytes == 128 * 2**10
    assert stats.pool.config.max_live_bytes is not None


async def test_worker_of_a_stream_is_listed() -> None:
    async with PooledEngine(handler) as engine:
        await collect(engine(1))
        # Other tests may have started pybridge's own worker, which stays.
        (worker,) = (worker for worker in engine.stats().workers if worker.kind == "attached")
    assert worker.live == 0


async def test_snapshot_is_frozen_and_picklable() -> None:
    async with PooledEngine(handler) as engine:
        await collect(engine(1))
        stats = engine.stats()
    assert pickle.loads(pickle.dumps(stats)) == stats
    for field in dataclasses.fields(stats):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(stats, field.name, None)


def annotated(kind: Any, value: Any) -> None:
    for field in dataclasses.fields(kind):
        inner = getattr(value, field.name)
        if dataclasses.is_dataclass(inner):
            annotated(type(inner), inner)
        elif field.type in {"int", "float", "str"}:
            assert type(inner).__name__ == field.type, field.name


async def test_every_counter_has_the_type_that_is_documented() -> None:
    async with PooledEngine(handler) as engine:
        await collect(engine(1))
        annotated(EngineStats, engine.stats())


async def test_snapshot_is_readable_when_it_is_printed() -> None:
    async with PooledEngine(handler) as engine:
        await collect(engine(1000))
        stats = engine.stats()
    lines = str(stats).splitlines()
    assert lines[:3] == ["EngineStats", "  streams", "    started        1"]
    assert f"  bytes               {format_size(stats.bytes)}" in lines
    assert "      segment_bytes       64 KiB" in lines
    assert "    cancelled      none" in lines
    assert any(line.startswith("  first_item_seconds  <=") for line in lines)
    # A line for every field, and nothing that needs a wide window.
    names = [line.split()[0] for line in lines[1:]]
    assert {field.name for field in dataclasses.fields(stats)} <= set(names)
    assert max(map(len, lines)) <= 120
    assert not any(mark in str(stats) for mark in "()[]{}")


def test_what_was_given_back_is_readable_when_it_is_printed() -> None:
    release = Release(when=0.0, what="malloc", bytes=3 * 2**20, seconds=0.0123)
    stats = dataclasses.replace(pybridge.memory(), releases=(release,), python_kept="of a reason")
    assert str(stats).splitlines()[-3:] == [
        "  releases",
        "    when 1970-01-01T00:00:00+00:00, what malloc, bytes 3 MiB, seconds 0.0123",
        "  python_kept    of a reason",
    ]


async def test_cancelled_reasons_are_those_that_the_exception_explains() -> None:
    async with PooledEngine(handler) as engine:
        reasons = engine.stats().streams.cancelled
    assert set(reasons) == set(StreamCancelled._MEANING)
