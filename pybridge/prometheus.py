"""Counters of engines, pools and the process in the Prometheus text exposition format."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import accumulate

from pybridge.engine import live_engines
from pybridge.memory import recent_memory
from pybridge.stats import EngineStats, Histogram, MemoryStats, PoolStats, WorkerStats

MALLOC_AGE = 10.0
"""Seconds that figures of malloc may be old: asking takes malloc's locks."""


class Exposition:
    """Collects samples by metric; samples with the same labels add up, so engines may share a name."""

    def __init__(self) -> None:
        self._help: dict[str, tuple[str, str]] = {}
        self._samples: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}

    def add(self, name: str, kind: str, text: str, value: float, /, **labels: str) -> None:
        """Adds to one sample of the metric `pybridge_<name>`."""
        self._help[name] = (kind, text)
        self._sample(name, name, value, labels)

    def counter(self, name: str, text: str, value: float, /, **labels: str) -> None:
        """Adds to a counter; its name gets the suffix `_total`."""
        self.add(f"{name}_total", "counter", text, value, **labels)

    def gauge(self, name: str, text: str, value: float, /, **labels: str) -> None:
        """Adds to a gauge."""
        self.add(name, "gauge", text, value, **labels)

    def histogram(self, name: str, text: str, values: Histogram, /, **labels: str) -> None:
        """Adds to a histogram: each bucket counts the values up to its bound."""
        self._help[name] = ("histogram", text)
        for bound, number in zip(values.bounds, accumulate(values.counts), strict=True):
            limit = "+Inf" if math.isinf(bound) else f"{bound:.15g}"
            self._sample(name, f"{name}_bucket", number, {**labels, "le": limit})
        self._sample(name, f"{name}_sum", values.total, labels)
        self._sample(name, f"{name}_count", sum(values.counts), labels)

    def _sample(self, metric: str, name: str, value: float, labels: dict[str, str]) -> None:
        samples = self._samples.setdefault(metric, {})
        key = (name, tuple(labels.items()))
        samples[key] = samples.get(key, 0) + value

    def lines(self) -> Iterator[str]:
        """Gives the lines of the exposition."""
        for metric, samples in self._samples.items():
            kind, text = self._help[metric]
            yield f"# HELP pybridge_{metric} {text}"
            yield f"# TYPE pybridge_{metric} {kind}"
            for (name, key), value in samples.items():
                labels = ",".join(f'{label}="{_escape(content)}"' for label, content in key)
                yield f"pybridge_{name}{{{labels}}} {value:.17g}" if labels else f"pybridge_{name} {value:.17g}"

    def text(self) -> str:
        """Gives the whole exposition."""
        return "".join(f"{line}\n" for line in self.lines())


def metrics_text() -> str:
    """Gives the counters of all engines, their pools and workers, and the process's memory, for a `/metrics` endpoint.

    Engines of the same name are counted together. A pool has the label `shared`, or the name of its first engine.
    """
    engines = sorted(live_engines(), key=lambda engine: engine.name)
    pools: dict[object, tuple[str, PoolStats]] = {}
    snapshots = []
    for engine in engines:
        stats = engine.stats()
        snapshots.append((engine.name, stats))
        pool = engine.shares_pool_with
        pools.setdefault(id(pool), ("shared" if pool is None else engine.name, stats.pool))
    return render(snapshots, pools.values(), recent_memory(MALLOC_AGE))


def render(
    engines: Iterable[tuple[str, EngineStats]],
    pools: Iterable[tuple[str, PoolStats]],
    memory: MemoryStats | None = None,
) -> str:
    """Gives the exposition of engines and pools, each with its name, and of the process's memory."""
    out = Exposition()
    workers: dict[tuple[str, str], WorkerStats] = {}
    for name, stats in engines:
        _engine(out, name, stats)
        workers.update({(worker.name, worker.kind): worker for worker in stats.workers})
    for worker in workers.values():
        _worker(out, worker)
    for name, pool in pools:
        _pool(out, name, pool)
    if memory is not None:
        _memory(out, memory)
    return out.text()


def _engine(out: Exposition, engine: str, stats: EngineStats) -> None:
    streams, flow = stats.streams, stats.flow
    out.counter("streams_started", "Streams started.", streams.started, engine=engine)
    out.gauge("streams_live", "Streams without an ending yet.", streams.live, engine=engine)
    out.gauge("streams_queued", "Calls that wait for a place.", streams.queued, engine=engine)
    text = "Calls that became no stream, because there was no place or the engine was closed."
    out.counter("streams_refused", text, streams.refused, engine=engine)
    endings = {("finished", ""): streams.finished, ("raised", ""): streams.raised}
    endings |= {("cancelled", reason): number for reason, number in streams.cancelled.items()}
    for (ending, reason), number in endings.items():
        text = "Streams by ending; cancelled ones by reason."
        out.counter("streams_ended", text, number, engine=engine, ending=ending, reason=reason)
    for outcome in ("ignored", "timeout", "error"):
        text = "Handlers that did not let themselves be closed, by what they did."
        out.counter("closes_failed", text, getattr(streams, f"close_{outcome}"), engine=engine, outcome=outcome)
    out.counter("frames", "Items encoded.", stats.frames, engine=engine)
    out.counter("frame_bytes", "Bytes of encoded items.", stats.bytes, engine=engine)
    out.counter("crossings", "Hand-overs between Python threads and the runtime.", stats.crossings, engine=engine)
    out.histogram("batch_items", "Items of each hand-over.", stats.batch_items, engine=engine)
    text = "Seconds from each call to its first item."
    out.histogram("first_item_seconds", text, stats.first_item_seconds, engine=engine)
    text = "Seconds from the request to stop a stream to its ending."
    out.histogram("cancel_seconds", text, stats.cancel_seconds, engine=engine)
    for thread, number in stats.attaches.items():
        text = "Times that a thread attached to the interpreter."
        out.counter("attaches", text, number, engine=engine, thread=thread)
    out.counter("wakeups", "Wake-ups of event loops.", stats.wakeups, engine=engine)
    for class_name, number in stats.errors.items():
        out.counter("errors", "Endings by exception class.", number, engine=engine, **{"class": class_name})
    text = "Python references that wait for a Python thread to release them."
    out.gauge("deferred_releases", text, stats.deferred_releases, engine=engine)
    out.gauge("in_flight_bytes", "Bytes queued and not yet taken.", flow.in_flight_bytes, engine=engine)
    out.counter("waits", "Times that a handler waited for its consumer.", flow.waits, engine=engine)
    text = "Streams cancelled because their items were not taken in time."
    out.counter("slow_consumers", text, flow.slow_consumers, engine=engine)
    out.gauge("decoded_bytes", "Bytes of decoded requests held by handlers.", flow.decoded_bytes, engine=engine)


def _worker(out: Exposition, stats: WorkerStats) -> None:
    labels = {"worker": stats.name, "kind": stats.kind, "loop": stats.loop}
    out.gauge("worker_lag_seconds", "How late the event loop is now.", stats.lag_ms / 1000, **labels)
    out.counter("worker_stalls", "Times that the event loop stood for over a second.", stats.stalls, **labels)
    out.gauge("worker_streams_live", "Streams that run on the worker.", stats.live, **labels)


def _pool(out: Exposition, pool: str, stats: PoolStats) -> None:
    out.gauge("pool_live_bytes", "Bytes handed out.", stats.live_bytes, pool=pool)
    out.gauge("pool_parked_bytes", "Idle bytes kept for the next use.", stats.parked_bytes, pool=pool)
    out.gauge("pool_pinned_bytes", "Bytes of segments in use that no live frame needs.", stats.pinned_bytes, pool=pool)
    out.gauge("pool_peak_bytes", "Most bytes ever handed out at once.", stats.peak_bytes, pool=pool)
    out.counter("pool_hits", "Buffers taken from idle ones.", stats.hits, pool=pool)
    out.counter("pool_misses", "Buffers that had to be made.", stats.misses, pool=pool)
    out.counter("pool_fallbacks", "Buffers made outside an exhausted pool.", stats.fallbacks, pool=pool)
    out.gauge("pool_held_bytes", "Bytes that count against the ceiling.", stats.held_bytes, pool=pool)
    out.gauge("pool_inbound_bytes", "Bytes of request bodies.", stats.inbound_bytes, pool=pool)
    out.counter("pool_exhausted", "Buffers refused by an exhausted pool.", stats.exhausted, pool=pool)
    out.counter("pool_oversized", "Buffers refused because no budget could hold them.", stats.oversized, pool=pool)
    out.counter("pool_copied_out_bytes", "Bytes copied out of pinned segments.", stats.copied_out_bytes, pool=pool)
    out.counter("pool_leaks", "Sampled buffers in use for longer than leak_after.", stats.leaks, pool=pool)
    for reason, number in stats.released.items():
        out.counter("pool_released_bytes", "Bytes given back to the system.", number, pool=pool, reason=reason)
    for entry in stats.classes:
        labels = {"pool": pool, "capacity": str(entry.capacity)}
        out.gauge("pool_class_live_bytes", "Bytes of large buffers in use.", entry.live_bytes, **labels)
        out.gauge("pool_class_parked_bytes", "Bytes of idle large buffers.", entry.parked_bytes, **labels)
        out.gauge("pool_class_peak_bytes", "Most bytes of large buffers ever in use.", entry.peak_bytes, **labels)
        out.counter("pool_class_hits", "Large buffers taken from idle ones.", entry.hits, **labels)
        out.counter("pool_class_misses", "Large buffers that had to be made.", entry.misses, **labels)
    segments = stats.segments
    out.counter("pool_segment_hits", "Segments taken from idle ones.", segments.hits, pool=pool)
    out.counter("pool_segment_misses", "Segments that had to be made.", segments.misses, pool=pool)
    for found, number in (("free", segments.reclaimed), ("busy", segments.busy)):
        text = "Looks at a full segment, by what they found."
        out.counter("pool_segment_looks", text, number, pool=pool, found=found)


def _memory(out: Exposition, stats: MemoryStats) -> None:
    out.gauge("memory_resident_bytes", "Memory of the process that is in RAM.", stats.resident)
    text = "Memory of the process by owner; what is left of the resident bytes is code, stacks and the like."
    owners = {
        "pool_live": stats.pool_live,
        "pool_parked": stats.pool_parked,
        "pool_pinned": stats.pool_pinned,
        "malloc_in_use": stats.malloc_in_use,
        "malloc_free": stats.malloc_free,
    }
    for owner, size in owners.items():
        out.gauge("memory_bytes", text, size, owner=owner)
    out.gauge("frames_held", "Frames that Python code holds.", stats.frames_held)
    out.gauge("malloc_arenas", "Arenas of malloc.", stats.malloc_arenas)
    out.gauge("python_blocks", "Blocks handed out by Python's own allocator.", stats.python_blocks)


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
