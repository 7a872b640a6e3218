"""The memory workload: large requests, many at a time, for some cycles; then idle; then trimmed."""

import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from pybridge.bench.floor import encoder
from pybridge.bench.process import HandlerError, LaneError, LaneProcess
from pybridge.bench.protocol import Lane, Loop, Plan, Result, Settle
from pybridge.bench.system import process_status

Payload = Literal["text", "tree"]
Step = Callable[[str], None]

SAMPLE_SECONDS = 0.02
ROW_CHARS = 50
SENTENCE = "The quick brown fox jumps over the lazy dog. "


@dataclass(frozen=True)
class Settings:
    """One memory measurement.

    Attributes:
        handler: None is the built-in one of the payload; with `survivors` one small object of each request lives on.
        flow: `FlowConfig` fields of the pooled lane.
        memory: Arguments of `configure_memory` for the lanes of pybridge.
    """

    lanes: tuple[str, ...]
    payload: Payload = "text"
    chars: int = 1_000_000
    concurrency: int = 96
    requests: int = 1000
    cycles: int = 3
    idle: float = 10.0
    loop: Loop = "asyncio"
    handler: str | None = None
    request: Any = None
    flow: dict[str, Any] = field(default_factory=dict)
    unary: bool = False
    survivors: bool = False
    memory: dict[str, Any] = field(default_factory=lambda: {"idle_release": "all", "min_gain": "8MiB"})


@dataclass
class Report:
    """Rows by lane and cycle, resident memory over time by lane, and what went wrong.

    Attributes:
        request_may_be_wrong: The handler failed, which may lie in the request it was given.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    timelines: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    request_may_be_wrong: bool = False


def sketch(payload: Payload) -> str:
    """What a request of this payload looks like."""
    return '{"text": "..."}' if payload == "text" else '{"rows": [{"id": 0, "name": "row 0", "score": 0.0}, ...]}'


def body(payload: Payload, chars: int) -> dict[str, Any]:
    """A request of about so many characters: one text, or a tree of small dicts."""
    if payload == "text":
        return {"text": (SENTENCE * (chars // len(SENTENCE) + 1))[:chars]}
    rows = [{"id": number, "name": f"row {number}", "score": number / 8} for number in range(chars // ROW_CHARS)]
    return {"rows": rows}


def steps(settings: Settings) -> int:
    """How often `measure` calls `step`."""
    return len(settings.lanes) * (settings.cycles + 2)


def measure(settings: Settings, step: Step) -> Report:
    """Each lane in a fresh process, one after the other."""
    report = Report()
    for name in settings.lanes:
        try:
            measure_lane(name, settings, report, step)
        except LaneError as error:
            report.problems.append(str(error))
            report.request_may_be_wrong |= isinstance(error, HandlerError)
    return report


def measure_lane(name: str, settings: Settings, report: Report, step: Step) -> None:
    """All cycles of one lane."""
    built_in = f"pybridge.bench.handlers:memory_{settings.payload}{'_survivors' if settings.survivors else ''}"
    handler = settings.handler or built_in
    encode = encoder("msgpack")
    small = settings.request if settings.request is not None else body(settings.payload, 1000)
    large = settings.request if settings.request is not None else body(settings.payload, settings.chars)
    plan = Plan(
        handler=handler,
        bodies=[encode(large)],
        concurrency=settings.concurrency,
        requests=settings.requests,
        flow=settings.flow,
        unary=settings.unary,
    )
    warm_up = msgspec.structs.replace(plan, bodies=[encode(small)], concurrency=2, requests=4)
    lane_settings = Lane(name=name, loop=settings.loop, memory=settings.memory)
    with LaneProcess(lane_settings) as lane, sampled(lane.pid) as samples:
        report.timelines[name] = samples
        report.rows.append(row(name, settings, 0, lane.run(warm_up)))
        for cycle in range(1, settings.cycles + 1):
            step(f"{name}: cycle {cycle} of {settings.cycles}")
            report.rows.append(row(name, settings, cycle, lane.run(plan)))
        step(f"{name}: idle for {settings.idle:g} s")
        report.rows.append(row(name, settings, "idle", lane.run(Settle(seconds=settings.idle))))
        step(f"{name}: trim")
        report.rows.append(row(name, settings, "trim", lane.run(Settle(seconds=0.2, trim=True))))


def row(lane: str, settings: Settings, cycle: int | str, result: Result) -> dict[str, Any]:
    """One row: the state after a cycle (0 is the start, warmed up), and the cycle's rates if it did requests."""
    state = result.state
    assert state is not None  # noqa: S101
    measured = isinstance(cycle, int) and cycle > 0
    return {
        "lane": lane,
        "payload": settings.payload,
        "concurrency": settings.concurrency,
        "cycle": cycle,
        "rss_mib": state.rss_mib,
        "peak_mib": state.peak_mib,
        "threads": state.threads,
        "arenas": state.arenas,
        "released_mib": state.released_mib,
        "release_ms": state.release_ms,
        "requests_per_s": result.requests / result.seconds if measured else None,
        "cpu_ms_per_request": 1e3 * result.cpu_seconds / result.requests if measured else None,
    }


@contextmanager
def sampled(pid: int) -> Any:
    """Fills a list of (seconds, resident MiB) from outside the process, so that the measured one is left alone."""
    samples: list[tuple[float, float]] = []
    stop = threading.Event()
    started = time.monotonic()

    def sample() -> None:
        while not stop.wait(SAMPLE_SECONDS):
            status = process_status(pid)
            if "VmRSS" in status:
                samples.append((time.monotonic() - started, status["VmRSS"] / 1024))

    sampler = threading.Thread(target=sample, name="rss-sampler")
    sampler.start()
    try:
        yield samples
    finally:
        stop.set()
        sampler.join()
