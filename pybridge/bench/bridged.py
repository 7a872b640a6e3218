"""Lanes whose frames are received by tokio tasks: the load itself runs in the extension, without the interpreter."""

from typing import Any

from pybridge import _pybridge
from pybridge.bench.check import digest
from pybridge.bench.floor import decoder
from pybridge.bench.loops import loop_in_thread
from pybridge.bench.protocol import Latency, Loop, Plan, Result
from pybridge.bench.system import measured
from pybridge.bench.targets import DEMO, load


class ReferenceLane:
    """A usual bridge: `naive` or `bridge-thread`; its event loop runs in a Python thread of its own."""

    def __init__(self, name: str, loop: Loop) -> None:
        self.name = name
        self.loop = loop_in_thread(loop)

    def run(self, plan: Plan) -> Result:
        """Puts the plan through and measures it."""
        options = {"event_loop": self.loop, "codec": plan.codec, "typed": plan.handler == DEMO}
        return run_load(plan, self.name, load(plan.handler), options)


def run_load(plan: Plan, lane: str, handler: Any, options: dict[str, Any]) -> Result:
    """One call of the harness, measured."""
    options |= {
        "bodies": plan.bodies,
        "concurrency": plan.concurrency,
        "requests": plan.requests,
        "item_limit": plan.item_limit,
        "latency": plan.latency,
        "probe": plan.probe,
        "keep": plan.check,
    }
    with measured() as usage:
        outcome = _pybridge.bench_run(lane, handler, **options)
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
