"""The stream workload: every lane at every concurrency, repeats interleaved, outputs compared."""

import math
import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from pybridge.bench.check import differences
from pybridge.bench.process import HandlerError, LaneError, LaneProcess, LaneTimeoutError
from pybridge.bench.protocol import Codec, Lane, Latency, Loop, Plan, Result

Step = Callable[[str], None]

CHECK_STREAMS = 8
COMPARED = (
    "items_per_s",
    "cpu_us_per_item",
    "switches_per_item",
    "first_item_p50_us",
    "first_item_p99_us",
    "gap_p50_us",
    "gap_p99_us",
)


@dataclass(frozen=True)
class Workload:
    """What is sent: the handler, its encoded request, and how streams end."""

    handler: str
    body: bytes
    item_limit: int | None = None
    codec: Codec = "msgpack"
    unary: bool = False

    def plan(self, concurrency: int, requests: int, **changes: Any) -> Plan:
        """The plan of one run."""
        plan = Plan(
            handler=self.handler,
            bodies=[self.body],
            codec=self.codec,
            item_limit=self.item_limit,
            unary=self.unary,
            concurrency=concurrency,
            requests=requests,
        )
        return msgspec.structs.replace(plan, **changes)


@dataclass(frozen=True)
class Settings:
    """How it is measured. `requests=None`: as many as take about `seconds`, found out per lane."""

    lanes: tuple[str, ...]
    concurrency: tuple[int, ...] = (1, 16, 64)
    requests: int | None = None
    loop: Loop = "asyncio"
    repeat: int = 5
    seconds: float = 0.4
    check: Literal["exact", "count", "off"] = "exact"
    timeout: float | None = None


@dataclass
class Report:
    """Rows in the order of lanes, and what went wrong, as sentences.

    Attributes:
        request_may_be_wrong: The handler failed or yielded nothing, which may lie in the request it was given.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    request_may_be_wrong: bool = False


def steps(settings: Settings) -> int:
    """How often `measure` calls `step`."""
    return len(settings.lanes) * (1 + len(settings.concurrency) * (1 + settings.repeat))


def measure(workload: Workload, settings: Settings, step: Step) -> Report:
    """Runs everything; `step` is called with a label before each piece of work."""
    report = Report()
    with ExitStack() as stack:
        lanes: dict[str, LaneProcess] = {}
        checked: dict[str, Result] = {}
        failed: dict[str, list[str]] = {}
        for name in settings.lanes:
            step(f"{name}: start and check")
            try:
                lane = stack.enter_context(LaneProcess(Lane(name=name, loop=settings.loop), settings.timeout))
                if settings.check != "off":
                    checked[name] = lane.run(workload.plan(CHECK_STREAMS, CHECK_STREAMS, check=True))
                lanes[name] = lane
            except LaneTimeoutError as error:
                report.problems.append(f"{error}; {timeout_remedy(workload, settings)}")
                return report
            except LaneError as error:
                failed.setdefault(error.reason, []).append(name)
                report.request_may_be_wrong |= isinstance(error, HandlerError)
        report.problems += [f"{', '.join(names)}: {reason}" for reason, names in failed.items()]
        report.problems += differences(checked, settings.check)
        if checked and not any(sum(result.counts) for result in checked.values()):
            report.problems.append("the handler yields nothing for this request: there is nothing to measure")
            report.request_may_be_wrong = True
            return report
        samples = Samples(workload, settings, lanes, report.problems)
        samples.calibrate(step)
        samples.collect(step)
    report.rows = samples.rows()
    add_ratios(report.rows)
    return report


def timeout_remedy(workload: Workload, settings: Settings) -> str:
    """What helps where a run takes too long; nothing that the command line says already."""
    remedies = {
        "--items N reads only so many of each stream": workload.item_limit is None and not workload.unary,
        "a smaller --requests sends fewer": settings.requests is not None,
        "--timeout S waits longer": True,
    }
    return ", ".join(remedy for remedy, helps in remedies.items() if helps)


class Samples:
    """The runs of all lanes."""

    def __init__(
        self, workload: Workload, settings: Settings, lanes: dict[str, LaneProcess], problems: list[str]
    ) -> None:
        self.workload = workload
        self.settings = settings
        self.lanes = lanes
        self.problems = problems
        self.requests: dict[tuple[str, int], int] = {}
        self.totals: dict[tuple[str, int], list[Result]] = {}
        self.latencies: dict[tuple[str, int], list[Result]] = {}

    def calibrate(self, step: Step) -> None:
        """Warms every lane up and finds out how many requests fill a run."""
        for concurrency in self.settings.concurrency:
            for name in self.settings.lanes:
                step(f"{name} x {concurrency}: warm-up")
                warm = self.attempt(name, self.workload.plan(concurrency, concurrency))
                if warm is None:
                    continue
                rounds = max(1, math.ceil(self.settings.seconds / max(warm.seconds, 1e-6)))
                self.requests[name, concurrency] = self.settings.requests or concurrency * min(rounds, 10_000)

    def collect(self, step: Step) -> None:
        """Repeats interleaved: a disturbance of the machine hits all lanes alike."""
        for repeat in range(self.settings.repeat):
            for concurrency in self.settings.concurrency:
                for name in self.settings.lanes:
                    step(f"{name} x {concurrency}: run {repeat + 1} of {self.settings.repeat}")
                    requests = self.requests.get((name, concurrency))
                    if requests is not None:
                        self.sample(name, concurrency, requests)

    def sample(self, name: str, concurrency: int, requests: int) -> None:
        """One run for the totals and a shorter one that looks at the clock at every receipt."""
        total = self.attempt(name, self.workload.plan(concurrency, requests))
        timed = self.attempt(name, self.workload.plan(concurrency, min(requests, 4 * concurrency), latency=True))
        if total is not None and timed is not None:
            self.totals.setdefault((name, concurrency), []).append(total)
            self.latencies.setdefault((name, concurrency), []).append(timed)

    def attempt(self, name: str, plan: Plan) -> Result | None:
        """One run; a lane that fails is reported once and left out from then on."""
        lane = self.lanes.get(name)
        if lane is None:
            return None
        try:
            return lane.run(plan)
        except LaneError as error:
            del self.lanes[name]
            late = isinstance(error, LaneTimeoutError)
            remedy = f"; {timeout_remedy(self.workload, self.settings)}" if late else ""
            self.problems.append(f"{error}{remedy}")
            return None

    def rows(self) -> list[dict[str, Any]]:
        """One row per lane and concurrency: medians over the repeats."""
        return [
            {
                "lane": name,
                "concurrency": concurrency,
                "loop": self.settings.loop,
                "repeats": len(totals),
                **medians(totals, self.latencies[name, concurrency]),
            }
            for concurrency in self.settings.concurrency
            for name in self.settings.lanes
            if (totals := self.totals.get((name, concurrency)))
        ]


def medians(totals: list[Result], timed: list[Result]) -> dict[str, Any]:
    """The figures of one row."""
    rates = [total.items / total.seconds for total in totals]
    cpu = [1e6 * total.cpu_seconds / max(total.items, 1) for total in totals]
    row: dict[str, Any] = {
        "requests": totals[0].requests,
        "items": totals[0].items,
        "items_per_s": statistics.median(rates),
        "items_per_s_range": (min(rates), max(rates)),
        "spread": (max(rates) - min(rates)) / statistics.median(rates) if any(rates) else 0.0,
        "requests_per_s": statistics.median(total.requests / total.seconds for total in totals),
        "cpu_us_per_item": statistics.median(cpu),
        "cpu_us_per_item_range": (min(cpu), max(cpu)),
        "switches_per_item": statistics.median(total.switches / max(total.items, 1) for total in totals),
    }
    for name in ("first_item", "gap"):
        found: list[Latency] = [latency for result in timed if (latency := getattr(result, name)) is not None]
        row[f"{name}_p50_us"] = statistics.median(latency.p50_us for latency in found) if found else None
        row[f"{name}_p99_us"] = statistics.median(latency.p99_us for latency in found) if found else None
    return row


def add_ratios(rows: list[dict[str, Any]]) -> None:
    """Gives each row `vs_naive`: its figures divided by the naive lane's at the same concurrency."""
    naive = {row["concurrency"]: row for row in rows if row["lane"] == "naive"}
    for row in rows:
        if reference := naive.get(row["concurrency"]):
            row["vs_naive"] = dict(ratios(row, reference))


def ratios(row: dict[str, Any], reference: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """Figure by figure, where both have one that is not zero: a gap of zero is no so-many-th part of another."""
    for name in COMPARED:
        if row[name] and reference[name]:
            yield name, row[name] / reference[name]
