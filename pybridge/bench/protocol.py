"""Messages between the command and a lane's process: one JSON value a line."""

from typing import Any, Literal

import msgspec

Loop = Literal["asyncio", "uvloop"]
Codec = Literal["msgpack", "json"]


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """First line: which lane the process is, over which event loop, and what pybridge may do about memory there.

    Attributes:
        memory: Arguments of `pybridge.configure_memory`; for the lanes of pybridge only.
    """

    name: str
    loop: Loop = "asyncio"
    memory: dict[str, Any] = msgspec.field(default_factory=dict)


class Plan(msgspec.Struct, frozen=True, kw_only=True, tag="run"):
    """One measurement: `requests` requests, `concurrency` at a time, each received to its end.

    Attributes:
        handler: `module:attribute`.
        bodies: Encoded requests; request `n` is body `n` modulo their number.
        item_limit: Items after which a stream is abandoned; None: never.
        latency: Look at the clock at every receipt; otherwise only totals are measured.
        probe: The first request's items carry `time.perf_counter_ns()` at their yield under `"t"`.
        unary: The handler is a coroutine function that returns one value.
        check: Keep every frame and answer with digests; nothing is measured.
        flow: `FlowConfig` fields of the pooled lane.
    """

    handler: str
    bodies: list[bytes]
    concurrency: int
    requests: int
    codec: Codec = "msgpack"
    item_limit: int | None = None
    latency: bool = False
    probe: bool = False
    check: bool = False
    unary: bool = False
    flow: dict[str, Any] = {}


class Settle(msgspec.Struct, frozen=True, kw_only=True, tag="settle"):
    """Stay idle for `seconds`, then, if asked, give back what can be given back; answers with [`State`][]."""

    seconds: float
    trim: bool = False


Command = Plan | Settle


class Latency(msgspec.Struct, frozen=True):
    """A distribution of times, in microseconds."""

    count: int
    p50_us: float
    p99_us: float
    max_us: float


class State(msgspec.Struct, frozen=True):
    """The process as it is now, and what pybridge has given back by itself so far."""

    rss_mib: float
    peak_mib: float
    threads: int
    arenas: int
    released_mib: float = 0.0
    release_ms: float = 0.0


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What one plan gave; `cpu_seconds` and `switches` are of the whole process."""

    requests: int
    items: int
    bytes: int
    seconds: float
    cpu_seconds: float = 0.0
    switches: int = 0
    first_item: Latency | None = None
    gap: Latency | None = None
    probe: Latency | None = None
    digests: list[str] = []
    counts: list[int] = []
    state: State | None = None


class Failure(msgspec.Struct, frozen=True, tag="failure"):
    """The lane cannot do this; `message` is for people."""

    message: str


class Done(msgspec.Struct, frozen=True, tag="done"):
    """The answer to a command."""

    result: Result


Answer = Done | Failure
