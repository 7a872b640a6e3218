"""The settings of `PoolConfig`, each as `stats()` shows it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pybridge import FlowConfig, Frame, Pool, PoolConfig, PooledEngine, PoolExhausted, encode

from support.consumers import collect, take
from support.logs import reports
from support.processes import PythonRunner
from support.waiting import until

KIB = 2**10
MIB = 2**20


async def handler(sizes: list[int]) -> AsyncIterator[str]:
    for size in sizes:
        yield "x" * size


async def queued(engine: PooledEngine, sizes: list[int]) -> Any:
    """A stream whose items have all been made and not been taken."""
    stream = engine.frames(sizes)
    await stream.__aenter__()
    await until(lambda: engine.stats().frames >= len(sizes), "all items made")
    return stream


@pytest.mark.parametrize("segment", [4 * KIB, 64 * KIB, 12 * KIB])
async def test_segment_bytes_is_what_small_frames_are_held_in(segment: int) -> None:
    pool = Pool(PoolConfig(segment_bytes=segment))
    async with PooledEngine(handler, pool=pool) as engine:
        stream = await queued(engine, [1000] * 500)
        stats = pool.stats()
        assert stats.held_bytes % segment == 0
        assert 500_000 // segment <= stats.segments.misses <= 2 * 500_000 // segment + 2
        await stream.aclose()
        del stream


@pytest.mark.guarantee("M-01")
@pytest.mark.parametrize(("limit", "most"), [("0", 0), ("256KiB", 256 * KIB)])
async def test_small_parked_bytes_bounds_idle_segments(limit: str, most: int) -> None:
    pool = Pool(PoolConfig(small_parked_bytes=limit, decay_interval=60, idle_timeout=60))
    async with PooledEngine(handler, pool=pool) as engine:
        stream = await queued(engine, [1000] * 800)
        await stream.aclose()
        del stream
        await until(lambda: pool.stats().live_bytes == 0, "all frames dropped")
        stats = pool.stats()
        assert stats.parked_bytes == most
        assert stats.released["cap"] >= 800_000 - most - 3 * 64 * KIB


@pytest.mark.guarantee("M-01")
@pytest.mark.parametrize(("limit", "most"), [("0", 0), ("3MiB", 2560 * KIB)])
async def test_large_parked_bytes_bounds_idle_large_buffers(limit: str, most: int) -> None:
    pool = Pool(PoolConfig(large_parked_bytes=limit, decay_interval=60, idle_timeout=60))
    async with PooledEngine(handler, pool=pool, flow=FlowConfig(high_water="16MiB")) as engine:
        stream = await queued(engine, [MIB] * 6)
        await stream.aclose()
        del stream
        await until(lambda: pool.stats().live_bytes == 0, "all frames dropped")
        stats = pool.stats()
        assert sum(entry.parked_bytes for entry in stats.classes) == most
        assert stats.released["cap"] == 6 * 1280 * KIB - most


@pytest.mark.guarantee("M-03")
async def test_max_live_bytes_is_a_ceiling_for_the_pool_and_no_end_for_streams() -> None:
    pool = Pool(PoolConfig(max_live_bytes="2MiB"))
    async with PooledEngine(handler, pool=pool, flow=FlowConfig(high_water="16MiB")) as engine:
        stream = await queued(engine, [300_000] * 12)
        stats = pool.stats()
        assert stats.fallbacks > 0
        assert stats.held_bytes <= stats.peak_bytes <= 2 * MIB
        assert [len(frame) for frame in await collect(stream)] == [300_005] * 12
        del stream


@pytest.mark.guarantee("M-04")
async def test_request_bodies_have_half_of_max_live_bytes() -> None:
    pool = Pool(PoolConfig(max_live_bytes="2MiB"))
    async with PooledEngine(handler, pool=pool) as engine:
        said = r"11000\d\d bytes are more than the 1048576 that one buffer may have, as max_live_bytes is 2097152"
        with pytest.raises(PoolExhausted, match=said):
            await collect(engine(bytes(encode("x" * 1_100_000)), encoded="msgpack"))
        assert pool.stats().oversized == 1
        small = bytes(encode([5, 6]))
        assert await collect(engine(small, encoded="msgpack")) == ["xxxxx", "xxxxxx"]
        assert pool.stats().inbound_bytes == 0


async def test_request_bodies_come_from_the_pool() -> None:
    seen: list[int] = []

    async def late(request: str) -> AsyncIterator[int]:
        await go_on.wait()
        yield len(request)

    go_on = asyncio.Event()

    pool = Pool()
    flow = FlowConfig(max_concurrency=1)
    async with PooledEngine(late, pool=pool, flow=flow) as engine:
        body = bytes(encode("x" * 100_000))
        streams = [engine(body, encoded="msgpack") for _ in range(3)]
        for stream in streams:
            await stream.__aenter__()
            seen.append(pool.stats().inbound_bytes)
        assert seen[-1] >= 100_000, "a request that waits is a body in the pool"
        go_on.set()
        for stream in streams:
            assert await collect(stream) == [100_000]
        assert pool.stats().inbound_bytes == 0


async def test_decay_interval_is_how_often_surplus_is_halved() -> None:
    pool = Pool(PoolConfig(decay_interval=0.02, idle_timeout=600))
    async with PooledEngine(handler, pool=pool, flow=FlowConfig(high_water="32MiB")) as engine:
        stream = await queued(engine, [MIB] * 12)
        await stream.aclose()
        del stream
        await until(lambda: pool.stats().parked_bytes == 0, lambda: f"all decayed: {pool.stats()}")
        released = pool.stats().released
        assert released["decay"] > 0
        assert released["idle"] == 0


async def test_nothing_decays_before_the_interval() -> None:
    pool = Pool(PoolConfig(decay_interval=600, idle_timeout=600))
    async with PooledEngine(handler, pool=pool) as engine:
        await collect(engine([MIB] * 4))
        stats = pool.stats()
        assert stats.parked_bytes >= MIB
        assert (stats.released["decay"], stats.released["idle"]) == (0, 0)


@pytest.mark.guarantee("M-01")
async def test_idle_timeout_gives_everything_back() -> None:
    pool = Pool(PoolConfig(decay_interval=0.05, idle_timeout=0))
    async with PooledEngine(handler, pool=pool) as engine:
        await collect(engine([MIB] * 4))
        await until(lambda: pool.stats().parked_bytes == 0, lambda: f"all given back: {pool.stats()}")
        assert pool.stats().released["idle"] > 0
        assert pool.stats().released["decay"] == 0


@pytest.mark.parametrize("zero", [False, True])
async def test_zero_on_reuse_changes_no_frame(zero: bool) -> None:
    pool = Pool(PoolConfig(zero_on_reuse=zero, segment_bytes="4KiB"))
    async with PooledEngine(handler, pool=pool) as engine:
        sizes = [1, 300, 3000, 50_000] * 50
        assert [len(item) for item in await collect(engine(sizes))] == sizes
        stats = pool.stats()
        assert stats.config.zero_on_reuse is zero
        assert stats.hits > 0


@pytest.mark.guarantee("M-09")
async def test_leak_after_reports_a_kept_frame_once_with_its_request(caplog: pytest.LogCaptureFixture) -> None:
    pool = Pool(PoolConfig(leak_after=0.1, decay_interval=0.05))
    async with PooledEngine(handler, pool=pool, flow=FlowConfig(batch_items=1)) as engine:
        with caplog.at_level(logging.WARNING, logger="pybridge.pool"):
            stream = engine.frames([40_000] * 400, request_id="the-leaking-one")
            kept: list[Frame] = await take(stream, 299)
            await until(lambda: 0 < pool.stats().leaks == len(reports(caplog)), "each report in the log")
        assert pool.stats().leaks <= 3, "one in 128 of about 330"
        assert all("of request the-leaking-one has been in use" in report for report in reports(caplog))
        assert "pybridge.pool" in {record.name for record in caplog.records}
        kept.clear()
        await stream.aclose()
        del stream


KNOBS = {
    "segment_bytes": ("8KiB", 8 * KIB),
    "small_parked_bytes": ("1MiB", MIB),
    "large_parked_bytes": ("0", 0),
    "max_live_bytes": ("64MiB", 64 * MIB),
    "decay_interval": ("0.5", 0.5),
    "idle_timeout": ("7", 7.0),
    "zero_on_reuse": ("yes", True),
    "leak_after": ("30", 30.0),
}


@pytest.mark.parametrize("knob", KNOBS)
async def test_argument_is_the_effective_setting(knob: str) -> None:
    text, value = KNOBS[knob]
    argument: Any = value if knob in ("decay_interval", "idle_timeout", "zero_on_reuse", "leak_after") else text
    async with PooledEngine(handler, pool=PoolConfig(**{knob: argument})) as engine:
        assert getattr(engine.stats().pool.config, knob) == value


SHARED_POOL = """
import asyncio, pybridge

async def handler(request):
    yield "x" * request

async def main():
    engine = pybridge.PooledEngine(handler)
    await engine.call(1_000_000)
    stats = engine.stats().pool
    config = stats.config
    print([getattr(config, name) for name in %r])
    assert all(entry.parked_bytes == 0 for entry in stats.classes)
    assert stats.released["cap"] > 1_000_000
    await engine.aclose()

asyncio.run(main())
"""


def test_environment_configures_the_shared_pool(run_python: PythonRunner) -> None:
    environment = {f"PYBRIDGE_POOL_{name.upper()}": text for name, (text, _) in KNOBS.items()}
    printed = run_python(SHARED_POOL % list(KNOBS), environment=environment)
    assert printed.strip() == str([value for _, value in KNOBS.values()])


def test_wrong_environment_is_named_by_the_shared_pool(run_python: PythonRunner) -> None:
    snippet = """
    import pybridge
    async def handler(request):
        yield 1
    try:
        pybridge.PooledEngine(handler)
    except pybridge.ConfigError as error:
        print(error)
    """
    for field, text in (("segment_bytes", "5000"), ("decay_interval", "0"), ("max_live_bytes", "0")):
        variable = f"PYBRIDGE_POOL_{field.upper()}"
        printed = run_python(snippet, environment={variable: text})
        assert printed.startswith(f"{field}: ")
        assert f"(from {variable})" in printed


def test_ceiling_defaults_to_a_quarter_of_memory_and_at_most_1_gib() -> None:
    ceiling = Pool().stats().config.max_live_bytes
    assert ceiling is not None
    assert MIB < ceiling <= 2**30


async def test_two_engines_on_one_pool_share_its_ceiling_and_counters() -> None:
    pool = Pool(PoolConfig(max_live_bytes="2MiB"))
    flow = FlowConfig(high_water="16MiB")
    async with (
        PooledEngine(handler, pool=pool, flow=flow) as one,
        PooledEngine(handler, pool=pool, flow=flow) as other,
    ):
        stream = await queued(one, [300_000] * 6)
        full = other.stats().pool
        assert full == pool.stats()
        assert full.held_bytes > MIB
        assert [len(item) for item in await collect(other([300_000] * 6))] == [300_000] * 6
        assert other.stats().pool.fallbacks > 0
        await stream.aclose()
        del stream
        await asyncio.gather(collect(one([10])), collect(other([10])))
        assert pool.stats().segments.writers == 1, "one writer for the pool on this loop"
