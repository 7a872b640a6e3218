"""The runners of lanes, by name, in a lane's process."""

import sys
from collections.abc import Callable
from functools import partial
from typing import Protocol

from pybridge import configure_memory
from pybridge.bench import bridged, consumers, floor
from pybridge.bench.names import DESCRIPTIONS, WITHOUT_PYBRIDGE
from pybridge.bench.protocol import Lane, Loop, Plan, Result


class Runner(Protocol):
    """What a lane's process does."""

    def run(self, plan: Plan) -> Result:
        """Puts the plan through and measures it."""
        ...


FACTORIES: dict[str, Callable[[Loop], Runner]] = {
    "naive": partial(bridged.ReferenceLane, "naive"),
    "bridge-thread": partial(bridged.ReferenceLane, "bridge-thread"),
    "pooled": bridged.PooledLane,
    "pooled-suspend": partial(bridged.PooledLane, flush="suspend"),
    "python": floor.PythonLane,
    "plain": floor.PlainLane,
    "plain-sse": floor.SseLane,
    "frames": consumers.FramesLane,
    "chunks": consumers.ChunksLane,
    "items": consumers.ItemsLane,
}


def make(lane: Lane) -> Runner:
    """The lane, started; call it in the process that is to be measured.

    Raises:
        ValueError: There is no such lane, or what it needs is not installed.
    """
    if lane.name not in FACTORIES:
        raise ValueError(f"no lane is called {lane.name!r}; there are {', '.join(DESCRIPTIONS)}")
    if lane.name not in WITHOUT_PYBRIDGE:
        for setting, reason in configure_memory(**lane.memory).items():
            print(f"{lane.name}: {setting} does nothing: {reason}", file=sys.stderr)
    return FACTORIES[lane.name](lane.loop)
