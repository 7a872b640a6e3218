"""The figures to reach: which handler, how many streams, which lanes, and what must hold between them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Medians = dict[str, dict[str, float]]
"""By lane, the medians of what was measured."""


@dataclass(frozen=True)
class Target:
    """One figure with its bound; `stretch` is a better one that is nice to have."""

    name: str
    value: Callable[[Medians], float]
    at_most: float | None = None
    at_least: float | None = None
    stretch: float | None = None

    def reached(self, value: float) -> bool:
        """Whether `value` keeps the bound."""
        if self.at_most is not None:
            return value <= self.at_most
        return self.at_least is not None and value >= self.at_least


@dataclass(frozen=True)
class Case:
    """One row of the table. `requests_only`: every stream is one item, the number of requests fills the time."""

    key: str
    title: str
    handler: str
    concurrency: int
    lanes: tuple[str, ...]
    targets: tuple[Target, ...]
    requests_only: bool = False
    probe: bool = False


def ratio(figure: str, lane: str, reference: str) -> Callable[[Medians], float]:
    """`figure` of one lane divided by that of another."""
    return lambda medians: medians[lane][figure] / medians[reference][figure]


def cpu_against_python(at_most: float, stretch: float | None = None) -> Target:
    """CPU per item against the lane without a bridge."""
    return Target(
        "CPU per item, pooled / python", ratio("cpu_us", "pooled", "python"), at_most=at_most, stretch=stretch
    )


def rate_against_naive(at_least: float) -> Target:
    """Items per second against the usual bridge."""
    return Target("items/s, pooled / naive", ratio("items_per_s", "pooled", "naive"), at_least=at_least)


def unary(concurrency: int, at_least: float) -> Case:
    """One-item streams, so many at a time."""
    return Case(
        f"unary-{concurrency}",
        f"unary calls, concurrency {concurrency}",
        "single",
        concurrency,
        ("naive", "bridge-thread", "pooled"),
        (Target("requests/s, pooled / naive", ratio("requests_per_s", "pooled", "naive"), at_least=at_least),),
        requests_only=True,
    )


BRIDGES = ("naive", "bridge-thread", "pooled", "python")

STREAMS = (
    Case(
        "tight-64",
        "tight handler, 64 streams",
        "tight",
        64,
        BRIDGES,
        (cpu_against_python(1.0), rate_against_naive(200)),
    ),
    Case(
        "tight-1",
        "tight handler, 1 stream",
        "tight",
        1,
        BRIDGES,
        (cpu_against_python(1.7, 1.3), rate_against_naive(180)),
    ),
    Case(
        "await-64",
        "`sleep(0)` before each item, 64 streams",
        "awaiting",
        64,
        BRIDGES,
        (
            cpu_against_python(1.4, 1.2),
            rate_against_naive(35),
            Target("context switches per item", lambda medians: medians["pooled"]["switches"], at_most=0.05),
        ),
    ),
    Case(
        "await-256",
        "`sleep(0)` before each item, 256 streams",
        "awaiting",
        256,
        BRIDGES,
        (cpu_against_python(1.15, 1.05), rate_against_naive(45)),
    ),
    Case(
        "bursts-64",
        "8 items per await, 64 streams",
        "bursts",
        64,
        BRIDGES,
        (cpu_against_python(1.2), rate_against_naive(140)),
    ),
    unary(16, 18),
    unary(64, 30),
    Case(
        "probe",
        "1 kHz probe beside 63 `sleep(0)` streams",
        "probe",
        64,
        ("naive", "pooled", "pooled-suspend"),
        (
            Target("p99 latency, pooled / naive", ratio("probe_p99_us", "pooled", "naive"), at_most=1 / 120),
            Target(
                'p50 latency, `flush="suspend"` / naive',
                ratio("probe_p50_us", "pooled-suspend", "naive"),
                at_most=1 / 500,
            ),
        ),
        probe=True,
    ),
    Case(
        "blocked",
        "an item, then a handler that blocks for 50 ms, 1 stream",
        "blocked",
        1,
        ("naive", "pooled"),
        (Target("p99 latency in us, pooled", lambda medians: medians["pooled"]["probe_p99_us"], at_most=25_000),),
        probe=True,
    ),
    Case(
        "frames",
        "`frames()` consumed on the same loop, tight, 1 stream",
        "tight",
        1,
        ("plain", "frames"),
        (Target("items/s, frames / plain async for", ratio("items_per_s", "frames", "plain"), at_least=1 / 6),),
    ),
    Case(
        "chunks",
        '`chunks(framing="sse")` on the same loop, tight, 1 stream',
        "tight",
        1,
        ("plain-sse", "chunks"),
        (Target("items/s, chunks / async for + orjson", ratio("items_per_s", "chunks", "plain-sse"), at_least=2),),
    ),
)


@dataclass(frozen=True)
class MemoryCase:
    """One memory workload; `flows` gives lanes under a name of their own other `FlowConfig` fields."""

    key: str
    title: str
    payload: Any
    lanes: tuple[str, ...]
    targets: tuple[Target, ...]
    flows: dict[str, dict[str, Any]]


def memory_targets(peak: float, cpu: float) -> tuple[Target, ...]:
    """The bounds of one payload."""
    return (
        Target("MiB resident when idle, above the start", lambda medians: medians["pooled"]["idle_gain"], at_most=32),
        Target("peak, pooled / naive", ratio("peak_mib", "pooled", "naive"), at_most=peak),
        Target("CPU per request, pooled / naive", ratio("cpu_ms", "pooled", "naive"), at_most=cpu),
        Target("threads", lambda medians: medians["pooled"]["threads"], at_most=8),
    )


UNBOUNDED = {"pooled": {"max_held_bytes": "8GiB"}}
SIXTEEN_TREES = {"pooled-held": {"max_held_bytes": "80MiB"}}

MEMORY = (
    MemoryCase(
        "memory-text",
        "96 requests of 1 MB of text at a time",
        "text",
        ("naive", "pooled", "python"),
        memory_targets(0.9, 0.5),
        {},
    ),
    MemoryCase(
        "memory-tree",
        "96 requests of 1 MB as small dicts at a time",
        "tree",
        ("naive", "pooled", "python"),
        memory_targets(0.85, 0.7),
        UNBOUNDED,
    ),
    MemoryCase(
        "memory-held",
        "the same, at most about 16 of them decoded",
        "tree",
        ("pooled", "pooled-held"),
        (
            Target("peak, bounded / unbounded", ratio("peak_mib", "pooled-held", "pooled"), at_most=0.3),
            Target("requests/s, bounded / unbounded", ratio("requests_per_s", "pooled-held", "pooled"), at_least=0.95),
        ),
        UNBOUNDED | SIXTEEN_TREES,
    ),
)
