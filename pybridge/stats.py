"""Snapshots of counters: what `engine.stats()` and `pybridge.memory()` give.

All are frozen, and readable when they are printed; bytes are integers, durations are in the unit that the name says,
counters run since the engine's start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pybridge._readable import Readable, histogram_text
from pybridge.config import FlowConfig, PoolConfig

Raw = Mapping[str, Any]
"""What Rust returns: nested mappings with the names of the fields."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many values fell into which range.

    Attributes:
        bounds: Upper bounds of the ranges, included, in growing order; the last is infinite.
        counts: Values in each range.
        total: Sum of all values.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float

    def __str__(self) -> str:
        return histogram_text(self.bounds, self.counts)

    @classmethod
    def from_raw(cls, raw: Raw) -> Histogram:
        """Makes the snapshot from what Rust returns."""
        return cls(**raw)


@dataclass(frozen=True, slots=True)
class StreamStats(Readable):
    """Streams of one engine.

    Attributes:
        started: Calls whose stream was started.
        live: Streams that have no ending yet.
        finished: Streams whose handler ran out.
        raised: Streams whose handler raised, or whose item could not be encoded.
        cancelled: Streams cancelled, by reason.
        queued: Calls that wait for a place.
        refused: Calls that became no stream: there was no place, or the engine was closed. Counted as nothing else.
        close_ignored: Handlers that yielded while they were closed.
        close_timeout: Handlers that were left to themselves because their cleanup outlasted `cancel_grace`.
        close_error: Handlers that raised while they were cancelled or closed.
    """

    started: int
    live: int
    finished: int
    raised: int
    cancelled: dict[str, int]
    queued: int
    refused: int
    close_ignored: int
    close_timeout: int
    close_error: int

    @classmethod
    def from_raw(cls, raw: Raw) -> StreamStats:
        """Makes the snapshot from what Rust returns."""
        return cls(**{**raw, "cancelled": dict(raw["cancelled"])})


@dataclass(frozen=True, slots=True)
class WorkerStats(Readable):
    """One thread that runs handlers.

    Attributes:
        name: Name of the worker.
        kind: `dedicated` or `attached`.
        loop: Class of its event loop.
        lag_ms: How late its event loop is now.
        stalls: Times that the loop did not turn for longer than a second.
        live: Streams that run on it, of all engines.
    """

    name: str
    kind: str
    loop: str
    lag_ms: float
    stalls: int
    live: int

    @classmethod
    def from_raw(cls, raw: Raw) -> WorkerStats:
        """Makes the snapshot from what Rust returns."""
        return cls(**raw)


@dataclass(frozen=True, slots=True)
class PoolClassStats(Readable):
    """Buffers of one capacity.

    Attributes:
        capacity: Bytes that one buffer holds.
        live_bytes: Bytes of buffers in use.
        parked_bytes: Bytes of idle buffers kept for the next use.
        peak_bytes: Most bytes ever in use at once.
        hits: Buffers that were taken from the idle ones.
        misses: Buffers that had to be made.
    """

    capacity: int
    live_bytes: int
    parked_bytes: int
    peak_bytes: int
    hits: int
    misses: int

    @classmethod
    def from_raw(cls, raw: Raw) -> PoolClassStats:
        """Makes the snapshot from what Rust returns."""
        return cls(**raw)


@dataclass(frozen=True, slots=True)
class PoolSegmentStats(Readable):
    """Segments, which many small frames share.

    Attributes:
        hits: Segments that were taken from the idle ones.
        misses: Segments that had to be made.
        reclaimed: Looks at a full segment that found no frame of it alive.
        busy: Looks at a full segment that found some alive.
        writers: Threads, and streams nested in others, that write to one now.
    """

    hits: int
    misses: int
    reclaimed: int
    busy: int
    writers: int

    @classmethod
    def from_raw(cls, raw: Raw) -> PoolSegmentStats:
        """Makes the snapshot from what Rust returns."""
        return cls(**raw)


@dataclass(frozen=True, slots=True)
class PoolStats(Readable):
    """One pool.

    Attributes:
        live_bytes: Bytes of frames and bodies that something may still read.
        parked_bytes: Idle bytes kept for the next use.
        pinned_bytes: Bytes of segments in use that no live frame needs.
        peak_bytes: Most bytes ever handed out at once.
        hits: Buffers that were taken from the idle ones.
        misses: Buffers that had to be made.
        fallbacks: Buffers made outside the pool because its budget was used up.
        held_bytes: What counts against `max_live_bytes`: segments in use, large buffers, request bodies.
        inbound_bytes: The part of it in request bodies; at most half of `max_live_bytes`.
        exhausted: Buffers refused because the budget was used up.
        oversized: Buffers refused because no budget could hold them.
        copied_out_bytes: Bytes of queued frames copied out of segments so that these could go home.
        leaks: Buffers found in use for longer than `leak_after`; one in 128 is watched.
        released: Bytes given back to the system, by reason: `decay`, `idle`, `trim`, `cap`.
        segments: Of small frames.
        classes: Of large frames and bodies, by capacity.
        config: The effective settings.
    """

    live_bytes: int
    parked_bytes: int
    pinned_bytes: int
    peak_bytes: int
    hits: int
    misses: int
    fallbacks: int
    held_bytes: int
    inbound_bytes: int
    exhausted: int
    oversized: int
    copied_out_bytes: int
    leaks: int
    released: dict[str, int]
    segments: PoolSegmentStats
    classes: tuple[PoolClassStats, ...]
    config: PoolConfig

    @classmethod
    def from_raw(cls, raw: Raw) -> PoolStats:
        """Makes the snapshot from what Rust returns."""
        nested = {
            "released": dict(raw["released"]),
            "segments": PoolSegmentStats.from_raw(raw["segments"]),
            "classes": tuple(PoolClassStats.from_raw(entry) for entry in raw["classes"]),
            "config": PoolConfig(**raw["config"]),
        }
        return cls(**{**raw, **nested})


@dataclass(frozen=True, slots=True)
class FlowStats(Readable):
    """Items between handlers and consumers.

    Attributes:
        in_flight_bytes: Bytes queued and not yet taken.
        waits: Times that a handler waited at its `yield` for its consumer.
        slow_consumers: Streams cancelled because their consumer did not take items in time.
        decoded_bytes: Bytes of decoded requests that running handlers hold.
        config: The effective settings.
    """

    in_flight_bytes: int
    waits: int
    slow_consumers: int
    decoded_bytes: int
    config: FlowConfig

    @classmethod
    def from_raw(cls, raw: Raw) -> FlowStats:
        """Makes the snapshot from what Rust returns."""
        return cls(**{**raw, "config": FlowConfig(**raw["config"])})


@dataclass(frozen=True, slots=True)
class EngineStats(Readable):
    """One engine.

    Attributes:
        streams: Streams by state and ending.
        frames: Items encoded.
        bytes: Bytes of those items.
        crossings: Hand-overs between Python threads and the Rust runtime.
        attaches: Times that a thread attached to the interpreter, by the thread's name; a loop of the caller's own
            has no entry.
        wakeups: Times that Rust woke an event loop.
        workers: Threads that ran this engine's handlers.
        pool: Memory of frames; shared by all engines on the same pool.
        flow: Items between handlers and consumers.
        errors: Endings by exception, by class name.
        deferred_releases: Python references that wait for a Python thread to release them.
        batch_items: Items of each hand-over.
        first_item_seconds: Seconds from each call to its first item.
        cancel_seconds: Seconds from the request to stop a stream, whatever the reason, to its ending.
    """

    streams: StreamStats
    frames: int
    bytes: int
    crossings: int
    attaches: dict[str, int]
    wakeups: int
    workers: tuple[WorkerStats, ...]
    pool: PoolStats
    flow: FlowStats
    errors: dict[str, int]
    deferred_releases: int
    batch_items: Histogram
    first_item_seconds: Histogram
    cancel_seconds: Histogram

    @classmethod
    def from_raw(cls, raw: Raw) -> EngineStats:
        """Makes the snapshot from what Rust returns."""
        nested = {
            "streams": StreamStats.from_raw(raw["streams"]),
            "attaches": dict(raw["attaches"]),
            "workers": tuple(WorkerStats.from_raw(entry) for entry in raw["workers"]),
            "pool": PoolStats.from_raw(raw["pool"]),
            "flow": FlowStats.from_raw(raw["flow"]),
            "errors": dict(raw["errors"]),
            **{name: Histogram.from_raw(raw[name]) for name in ("batch_items", "first_item_seconds", "cancel_seconds")},
        }
        return cls(**{**raw, **nested})


@dataclass(frozen=True, slots=True)
class Release(Readable):
    """One time that memory was given back to the system.

    Attributes:
        when: Seconds since the epoch.
        what: Whose memory it was: `malloc`'s free pages, or what `python`'s free lists held.
        bytes: Bytes by which resident memory fell.
        seconds: How long it took.
    """

    when: float
    what: str
    bytes: int
    seconds: float

    @classmethod
    def from_raw(cls, raw: Raw) -> Release:
        """Makes the snapshot from what Rust returns."""
        return cls(**raw)


@dataclass(frozen=True, slots=True)
class MemoryStats(Readable):
    """Whose the process's memory is, in bytes.

    Attributes:
        resident: All memory of the process that is in RAM.
        pool_live: Handed out by all pools.
        pool_parked: Idle in all pools.
        pool_pinned: Held in segments for the sake of other frames, in all pools.
        frames_held: Live `Frame` objects, a number: each keeps its memory from going back to its pool.
        malloc_in_use: Handed out by malloc; 0 where malloc cannot be asked.
        malloc_free: Kept by malloc; 0 where malloc cannot be asked.
        malloc_arenas: Arenas of malloc, a number; 0 where malloc cannot be asked.
        python_blocks: Blocks handed out by Python's own allocator, a number; 0 with `python_allocator="system"`.
        releases: What was given back to the system lately, oldest first.
        python_kept: Why a release when idle leaves Python's share where it is, or did so the last time; None: it gives
            that back too, or is not asked to.
    """

    resident: int
    pool_live: int
    pool_parked: int
    pool_pinned: int
    frames_held: int
    malloc_in_use: int
    malloc_free: int
    malloc_arenas: int
    python_blocks: int
    releases: tuple[Release, ...] = ()
    python_kept: str | None = None

    @classmethod
    def from_raw(cls, raw: Raw) -> MemoryStats:
        """Makes the snapshot from what Rust returns."""
        return cls(**{**raw, "releases": tuple(Release.from_raw(entry) for entry in raw.get("releases", ()))})
