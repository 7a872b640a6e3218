"""Lanes in which Python consumes pybridge's streams on the handler's own event loop."""

from typing import Any

import msgspec

from pybridge import FlowConfig, PooledEngine
from pybridge.bench.floor import PythonLane, Sink, Source, sse_values
from pybridge.bench.protocol import Plan, Result
from pybridge.bench.targets import load


class EngineLane(PythonLane):
    """A `PooledEngine` per handler, kept between runs."""

    engines: dict[tuple[str, str], PooledEngine]

    def engine(self, plan: Plan) -> PooledEngine:
        """The engine for the plan's handler and flow settings."""
        if not hasattr(self, "engines"):
            self.engines = {}
        key = (plan.handler, repr(plan.flow))
        if key not in self.engines:
            flow = FlowConfig(**plan.flow)
            self.engines[key] = PooledEngine(
                load(plan.handler), codec=plan.codec, flow=flow, worker="attached", unary=plan.unary
            )
        return self.engines[key]


class FramesLane(EngineLane):
    """`engine.frames()`."""

    def source(self, plan: Plan) -> Source:
        """Frames of one request."""
        return self.engine(plan).frames

    def sink(self, plan: Plan) -> Sink:
        """Looks at the frame's length, or keeps its bytes."""
        return bytes if plan.check else len


class ItemsLane(EngineLane):
    """The engine called like the handler."""

    def source(self, plan: Plan) -> Source:
        """Items of one request."""
        return self.engine(plan)

    def sink(self, plan: Plan) -> Sink:
        """Nothing, unless the items are to be compared."""
        return super().sink(plan) if plan.check else bool


class ChunksLane(EngineLane):
    """`engine.chunks(framing="sse")`."""

    def source(self, plan: Plan) -> Source:
        """Chunks of one request."""
        engine = self.engine(plan)
        return lambda request: engine.chunks(request, framing="sse")

    def sink(self, plan: Plan) -> Sink:
        """Looks at the chunk's length, or keeps its bytes."""
        return bytes if plan.check else len

    def run(self, plan: Plan) -> Result:
        """As the others, with items counted by the engine: a chunk has as many as the turn made."""
        before = self.engine(plan).stats().frames
        result = super().run(plan)
        return msgspec.structs.replace(result, items=self.engine(plan).stats().frames - before)

    def values(self, collected: list[Any], plan: Plan) -> list[Any]:  # noqa: ARG002
        """The events' values."""
        return sse_values(collected)
