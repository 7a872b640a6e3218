from __future__ import annotations

import re
from collections.abc import AsyncIterator

from pybridge import Pool, PooledEngine, metrics_text
from pybridge.prometheus import Exposition

from support.consumers import collect

SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (-?[0-9.e+-]+|\+Inf|NaN)')


async def handler(request: int) -> AsyncIterator[int]:
    for number in range(request):
        yield number


async def large_handler(request: int) -> AsyncIterator[str]:
    yield "x" * request


def parse(text: str) -> dict[str, dict[str, float]]:
    """Reads an exposition strictly: each metric once, help and type before its samples, no sample twice."""
    metrics: dict[str, dict[str, float]] = {}
    lines = iter(text.splitlines())
    name = kind = ""
    for line in lines:
        if line.startswith("# HELP "):
            name = line.split(" ", 3)[2]
            assert name not in metrics
            metrics[name] = {}
            declared, kind = next(lines).removeprefix("# TYPE ").split(" ")
            assert declared == name
            assert kind in {"counter", "gauge"}
            assert (kind == "counter") == name.endswith("_total")
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            assert match[1] == name
            assert (match[2] or "") not in metrics[name]
            metrics[name][match[2] or ""] = float(match[3])
    return metrics


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


def test_labels_are_escaped_and_equal_ones_add_up() -> None:
    out = Exposition()
    for _ in range(2):
        out.counter("things", "Things.", 1, thing='a "b"\\\nc')
    assert out.text() == (
        "# HELP pybridge_things_total Things.\n# TYPE pybridge_things_total counter\n"
        'pybridge_things_total{thing="a \\"b\\"\\\\\\nc"} 2\n'
    )


def test_large_counters_keep_every_digit() -> None:
    out = Exposition()
    out.counter("bytes", "Bytes.", 2**53 - 1)
    assert out.text().endswith(f" {2**53 - 1}\n")
