from __future__ import annotations

import gc
from collections.abc import AsyncIterator

import pytest

from pybridge import Pool, PooledEngine, metrics_text

from support.consumers import collect, take
from support.exposition import parse


async def handler(request: int) -> AsyncIterator[int]:
    for number in range(request):
        yield number


async def large_handler(request: int) -> AsyncIterator[str]:
    yield "x" * request


@pytest.mark.guarantee("E-20")
async def test_exposition_counts_what_the_engines_did() -> None:
    shared = Pool()
    async with (
        PooledEngine(handler, name="one", pool=shared) as one,
        PooledEngine(handler, name="two", pool=shared) as two,
        PooledEngine(handler, name="two") as three,
    ):
        for engine in (one, two, three):
            await collect(engine(5))
        metrics = parse(metrics_text())
    assert metrics["pybridge_frames_total"]['engine="one"'] == 5
    assert metrics["pybridge_frames_total"]['engine="two"'] == 10
    assert metrics["pybridge_streams_ended_total"]['engine="two",ending="finished",reason=""'] == 2
    pools = set(metrics["pybridge_pool_live_bytes"])
    assert {'pool="one"', 'pool="shared"'} <= pools
    assert 'pool="two"' not in pools


async def test_times_and_batches_are_histograms_of_all_engines_of_a_name() -> None:
    async with PooledEngine(handler, name="timed") as one, PooledEngine(handler, name="timed") as two:
        for engine in (one, two):
            await collect(engine(5))
            stream = engine(10**9)
            await take(stream, 1)
            await stream.aclose()
        metrics = parse(metrics_text())
        stats = [engine.stats() for engine in (one, two)]
    for name, values in (
        ("first_item_seconds", [entry.first_item_seconds for entry in stats]),
        ("cancel_seconds", [entry.cancel_seconds for entry in stats]),
    ):
        samples = metrics[f"pybridge_{name}"]
        count = sum(sum(entry.counts) for entry in values)
        assert samples['_count,engine="timed"'] == samples['_bucket,engine="timed",le="+Inf"'] == count
        assert samples['_sum,engine="timed"'] == pytest.approx(sum(entry.total for entry in values))
        buckets = [samples[f'_bucket,engine="timed",le="{bound:g}"'] for bound in values[0].bounds[:-1]]
        assert buckets == sorted(buckets)
    assert metrics["pybridge_first_item_seconds"]['_count,engine="timed"'] == 4
    assert metrics["pybridge_cancel_seconds"]['_count,engine="timed"'] == 2
    assert metrics["pybridge_batch_items"]['_sum,engine="timed"'] == metrics["pybridge_frames_total"]['engine="timed"']


async def test_pool_is_shown_by_class_and_as_stats_has_it() -> None:
    pool = Pool()
    async with PooledEngine(large_handler, name="classes", pool=pool) as engine:
        await collect(engine(100_000))
        metrics, stats = parse(metrics_text()), pool.stats()
    taken = next(entry for entry in stats.classes if entry.misses)
    assert taken.capacity >= 100_000
    for entry in stats.classes:
        labels = f'pool="classes",capacity="{entry.capacity}"'
        assert metrics["pybridge_pool_class_misses_total"][labels] == entry.misses
        assert metrics["pybridge_pool_class_hits_total"][labels] == entry.hits
        assert metrics["pybridge_pool_class_peak_bytes"][labels] == entry.peak_bytes
    assert metrics["pybridge_pool_segment_misses_total"]['pool="classes"'] == stats.segments.misses
    assert set(metrics["pybridge_pool_segment_looks_total"]) >= {
        'pool="classes",found="free"',
        'pool="classes",found="busy"',
    }


async def test_names_are_escaped_in_labels() -> None:
    async with PooledEngine(handler, name='a "b"\\') as engine:
        await collect(engine(3))
        metrics = parse(metrics_text())
    assert metrics["pybridge_frames_total"][r'engine="a \"b\"\\"'] == 3


async def test_an_engine_whose_object_is_gone_is_shown_while_its_stream_lives() -> None:
    stream = PooledEngine(handler, name="gone")(10**9)
    await take(stream, 1)
    gc.collect()
    assert parse(metrics_text())["pybridge_streams_live"]['engine="gone"'] == 1
    await stream.aclose()
