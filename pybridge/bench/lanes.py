"""What runs in the process of a lane."""

from typing import Protocol

from pybridge.bench import bridged, consumers, floor
from pybridge.bench.names import DESCRIPTIONS
from pybridge.bench.protocol import Lane, Plan, Result


class Runner(Protocol):
    """What a lane's process does."""

    def run(self, plan: Plan) -> Result:
        """Puts the plan through and measures it."""
        ...


def make(lane: Lane) -> Runner:
    """The lane, started; call it in the process that is to be measured.

    Raises:
        ValueError: There is no such lane, or what it needs is not installed.
    """
    match lane.name:
        case "naive" | "bridge-thread":
            return bridged.ReferenceLane(lane.name, lane.loop)
        case "python":
            return floor.PythonLane(lane.loop)
        case "plain":
            return floor.PlainLane(lane.loop)
        case "plain-sse":
            return floor.SseLane(lane.loop)
        case "frames" | "chunks" | "items":
            kinds = {"frames": consumers.FramesLane, "chunks": consumers.ChunksLane, "items": consumers.ItemsLane}
            return kinds[lane.name](lane.loop)
        case name:
            raise ValueError(f"no lane is called {name!r}; there are {', '.join(DESCRIPTIONS)}")
