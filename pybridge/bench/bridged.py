"""Lanes whose frames are received by tokio tasks: the load itself runs in the extension, without the interpreter."""

from collections.abc import Callable
from typing import Any

from pybridge import FlowConfig, PooledEngine, Worker, _pybridge
from pybridge.bench.check import digest
from pybridge.bench.floor import decoder
from pybridge.bench.loops import loop_in_thread
from pybridge.bench.protocol import Codec, Latency, Loop, Plan, Result
from pybridge.bench.system import give_back, measured
from pybridge.bench.targets import DEMO, load


class ReferenceLane:
    """A usual bridge: `naive` or `bridge-thread`; its event loop runs in a Python thread of its own."""

    def __init__(self, name: str, loop: Loop) -> None:
        self.name = name
        self.loop = loop_in_thread(loop)

    def run(self, plan: Plan) -> Result:
        """Puts the plan through and measures it."""
        handler, typed = load(plan.handler), plan.handler == DEMO
        options: dict[str, Any] = {"event_loop": self.loop, "typed": typed, "unary": plan.unary}
        return measure(plan, lambda: _pybridge.bench_run(self.name, handler, plan, **options))


class PooledLane:
    """The product: an engine per handler and flow settings, all on one dedicated worker."""

    def __init__(self, loop: Loop, **flow: Any) -> None:
        self.worker = Worker(loop=loop)
        self.flow = flow
        self.engines: dict[tuple[str, Codec, str], PooledEngine] = {}

    def engine(self, plan: Plan) -> PooledEngine:
        """The engine for a plan, kept between runs."""
        flow = self.flow | plan.flow
        key = (plan.handler, plan.codec, repr(flow))
        if key not in self.engines:
            handler = load(plan.handler)
            self.engines[key] = PooledEngine(
                handler, codec=plan.codec, flow=FlowConfig(**flow), worker=self.worker, unary=plan.unary
            )
        return self.engines[key]

    def run(self, plan: Plan) -> Result:
        """Puts the plan through and measures it."""
        engine = self.engine(plan)
        return measure(plan, lambda: _pybridge.bench_run("pooled", engine, plan))

    def trim(self) -> None:
        """Gives back what the pools and the process can."""
        for engine in self.engines.values():
            engine.trim()
        give_back()


def measure(plan: Plan, run: Callable[[], dict[str, Any]]) -> Result:
    """One call of the harness, with what the process used."""
    with measured() as usage:
        outcome = run()
    decode = decoder(plan.codec)
    streams = [[decode(frame) for frame in frames] for frames in outcome.get("frames", [])]
    return Result(
        requests=outcome["requests"],
        items=outcome["items"],
        bytes=outcome["bytes"],
        seconds=outcome["seconds"],
        cpu_seconds=usage.cpu_seconds,
        switches=usage.switches,
        first_item=distribution(outcome["first_item"]),
        gap=distribution(outcome["gap"]),
        probe=distribution(outcome["probe"]),
        digests=[digest(stream) for stream in streams],
        counts=[len(stream) for stream in streams],
    )


def distribution(summary: dict[str, Any] | None) -> Latency | None:
    """The harness's summary as a value of the protocol."""
    return None if summary is None else Latency(**summary)
