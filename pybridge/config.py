"""Settings of pools, flow control and messages.

Sizes take integers (bytes) or strings such as `"64KiB"`, durations take numbers of seconds. After construction every
size is an `int` in bytes, every duration a `float` in seconds, and None stands only where it is documented.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

from pybridge._field_checks import choice, count, optional, seconds, size, switch
from pybridge._settings import Settings, from_variable, setting
from pybridge.errors import ConfigError

Size: TypeAlias = int | str
"""Bytes, or text such as `"64KiB"`."""

MAX_DEPTH = 384
"""Deepest nesting that may be asked for; what a thread with a 256 KiB stack can walk, with a hook below."""

MAX_FRAME_BYTES = 2**32 - 1
"""Largest frame that may be asked for; what a 32-bit length prefix can say."""


@dataclass(frozen=True, slots=True)
class PoolConfig(Settings):
    """What a pool may hold.

    A field that is not given is read from the environment variable `PYBRIDGE_POOL_<FIELD>`, if that is set.

    Attributes:
        segment_bytes: Size of one segment, which many small frames share; whole pages of 4 KiB, at most 1 MiB.
        small_parked_bytes: Idle bytes that segments may keep for the next use.
        large_parked_bytes: Idle bytes that buffers of large frames may keep for the next use.
        max_live_bytes: Ceiling of all bytes handed out. None: a quarter of the memory limit of the cgroup or machine,
            at most 1 GiB.
        decay_interval: Seconds between two looks at what is idle; each gives half of the surplus back.
        idle_timeout: Seconds without use after which everything idle is given back, at the next look.
        zero_on_reuse: Zero memory before it is used again.
        leak_after: Age in seconds at which a sampled buffer that is still in use is reported.

    Raises:
        ConfigError: A value that cannot be, naming its field.
    """

    environment: ClassVar[str | None] = "PYBRIDGE_POOL_"

    segment_bytes: int = setting("64KiB", size(4 * 2**10, 2**20, multiple=4 * 2**10))
    small_parked_bytes: int = setting("4MiB", size())
    large_parked_bytes: int = setting("32MiB", size())
    max_live_bytes: int | None = setting(None, optional(size(1)))
    decay_interval: float = setting(1.0, seconds())
    idle_timeout: float = setting(5.0, seconds(zero=True))
    zero_on_reuse: bool = setting(False, switch)
    leak_after: float = setting(60.0, seconds())

    if TYPE_CHECKING:

        def __init__(
            self,
            segment_bytes: Size = "64KiB",
            small_parked_bytes: Size = "4MiB",
            large_parked_bytes: Size = "32MiB",
            max_live_bytes: Size | None = None,
            decay_interval: float = 1.0,
            idle_timeout: float = 5.0,
            zero_on_reuse: bool = False,
            leak_after: float = 60.0,
        ) -> None: ...


@dataclass(frozen=True, slots=True)
class FlowConfig(Settings):
    """How items travel from handlers to consumers.

    *In flight* means queued and not yet taken by the consumer. A field that is not given is read from the environment
    variable `PYBRIDGE_FLOW_<FIELD>`, if that is set.

    Attributes:
        flush: When items cross to Rust: once per turn of the event loop, or every 50 us where turns are shorter
            (`"turn"`: highest throughput), or each time the handler waits (`"suspend"`: lowest latency under load).
        batch_items: Items after which a batch crosses at once.
        batch_bytes: Bytes after which a batch crosses at once.
        high_water: Bytes in flight of one stream above which its handler waits at its `yield`; each frame counts its
            length and 64 bytes.
        high_water_items: Items in flight of one stream above which its handler waits at its `yield`.
        low_water: Bytes in flight at or below which it goes on. None: a quarter of `high_water`.
        write_timeout: Seconds that a consumer may let a waiting handler wait before the stream is cancelled with the
            reason `slow_consumer`. None: without bound.
        max_concurrency: Calls of one engine whose handlers run at the same time. None: no limit.
        max_queue: Calls that may wait for a place; one more is `Overloaded`. None: no limit, 0: none may wait.
        max_held_bytes: Bytes of decoded requests that running handlers may hold together. None: a quarter of the
            memory limit. One call always passes.
        cancel_grace: Seconds that a cancelled handler may take for its cleanup before it is let go.
        abandon_timeout: Seconds that a stream waits for its next read after one that was a task of its own
            (`asyncio.create_task(anext(stream))`) was cancelled; then it ends with the reason `caller`. None: never.

    Raises:
        ConfigError: A value that cannot be, naming its field.
    """

    environment: ClassVar[str | None] = "PYBRIDGE_FLOW_"

    flush: Literal["turn", "suspend"] = setting("turn", choice("turn", "suspend"))
    batch_items: int = setting(64, count(1))
    batch_bytes: int = setting("1MiB", size(1))
    high_water: int = setting("1MiB", size(1))
    high_water_items: int = setting(1024, count(1))
    low_water: int | None = setting(None, optional(size()))
    write_timeout: float | None = setting(None, optional(seconds()))
    max_concurrency: int | None = setting(None, optional(count(1)))
    max_queue: int | None = setting(None, optional(count()))
    max_held_bytes: int | None = setting(None, optional(size(1)))
    cancel_grace: float = setting(5.0, seconds(zero=True))
    abandon_timeout: float | None = setting(30.0, optional(seconds()))

    if TYPE_CHECKING:

        def __init__(
            self,
            flush: Literal["turn", "suspend"] = "turn",
            batch_items: int = 64,
            batch_bytes: Size = "1MiB",
            high_water: Size = "1MiB",
            high_water_items: int = 1024,
            low_water: Size | None = None,
            write_timeout: float | None = None,
            max_concurrency: int | None = None,
            max_queue: int | None = None,
            max_held_bytes: Size | None = None,
            cancel_grace: float = 5.0,
            abandon_timeout: float | None = 30.0,
        ) -> None: ...

    def __post_init__(self) -> None:
        low_from, high_from = from_variable(self.origin("low_water")), from_variable(self.origin("high_water"))
        Settings.__post_init__(self)
        if self.low_water is not None and self.low_water > self.high_water:
            reason = (
                f"must be at most high_water, which is {self.high_water}{high_from}, not {self.low_water}{low_from}"
            )
            raise ConfigError("low_water", reason)


@dataclass(frozen=True, slots=True)
class Limits(Settings):
    """How much one message may be; the same in both directions.

    A field that is not given is read from the environment variable `PYBRIDGE_LIMITS_<FIELD>`, if that is set.

    Attributes:
        max_depth: Containers inside containers; at most 384, and fewer where the stack of the thread that encodes holds
            fewer.
        max_nodes: Values, containers included.
        max_frame_bytes: Encoded bytes; at most 4 GiB - 1.
        max_decoded_bytes: Bytes of the Python objects made from one message.
        max_metadata_bytes: Bytes of all keys and values of a call's metadata.
        max_metadata_entries: Entries of a call's metadata.
        duplicate_keys: Of a key that comes twice in a map the `"last"` value wins, or it is a `DecodeError`
            (`"error"`).
        max_expansion: Bytes of the Python objects made from each byte of a message; the first 64 MiB are free.

    Raises:
        ConfigError: A value that cannot be, naming its field.
    """

    environment: ClassVar[str | None] = "PYBRIDGE_LIMITS_"

    max_depth: int = setting(128, count(1, MAX_DEPTH))
    max_nodes: int = setting(1_000_000, count(1))
    max_frame_bytes: int = setting("16MiB", size(1, MAX_FRAME_BYTES))
    max_decoded_bytes: int = setting("256MiB", size(1))
    max_metadata_bytes: int = setting("8KiB", size())
    max_metadata_entries: int = setting(64, count())
    duplicate_keys: Literal["last", "error"] = setting("last", choice("last", "error"))
    max_expansion: int = setting(8, count(1))

    if TYPE_CHECKING:

        def __init__(
            self,
            max_depth: int = 128,
            max_nodes: int = 1_000_000,
            max_frame_bytes: Size = "16MiB",
            max_decoded_bytes: Size = "256MiB",
            max_metadata_bytes: Size = "8KiB",
            max_metadata_entries: int = 64,
            duplicate_keys: Literal["last", "error"] = "last",
            max_expansion: int = 8,
        ) -> None: ...


@dataclass(frozen=True, slots=True)
class MemoryConfig(Settings):
    """The arguments of `pybridge.configure_memory`, which explains them.

    A field that is not given is read from the environment variable `PYBRIDGE_MEMORY_<FIELD>`, if that is set.

    Raises:
        ConfigError: A value that cannot be, naming its field.
    """

    environment: ClassVar[str | None] = "PYBRIDGE_MEMORY_"

    idle_release: Literal["malloc", "all", "off"] = setting("all", choice("malloc", "all", "off"))
    min_gain: int = setting("64MiB", size())
    tune_malloc: bool = setting(False, switch)
    python_allocator: Literal["leave", "system"] = setting("leave", choice("leave", "system"))

    if TYPE_CHECKING:

        def __init__(
            self,
            idle_release: Literal["malloc", "all", "off"] = "all",
            min_gain: Size = "64MiB",
            tune_malloc: bool = False,
            python_allocator: Literal["leave", "system"] = "leave",
        ) -> None: ...
