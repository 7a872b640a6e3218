"""The extension module: the core in Rust. The public names are those of `pybridge`."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import CodeType, FrameType, GenericAlias, TracebackType
from typing import Any, Generic, Literal, Self, SupportsIndex, TypeVar, final, overload

from pybridge.codecs import Codec as AnyCodec
from pybridge.codecs import CodecName
from pybridge.config import FlowConfig, Limits, PoolConfig

_T_co = TypeVar("_T_co", covariant=True)

__version__: str

@final
class Stream(AsyncIterator[_T_co], Generic[_T_co]):
    """What a handler yields, as an async iterator and async context manager.

    Starts at its first `__anext__` or `__aenter__`. One reader at a time.
    Dropping it, `aclose()`, leaving its `async with` or `break` end it with the reason `caller`; servers say
    `aclose("client")` when their peer has gone. `aclose` raises `ConfigError` for another reason.
    """

    def __class_getitem__(cls, _item: object) -> GenericAlias: ...
    def __aiter__(self) -> Self: ...
    def __anext__(self) -> Awaited[_T_co]: ...
    def __aenter__(self) -> Awaited[Self]: ...
    def __aexit__(self, *_exc_info: object) -> Awaited[None]: ...
    def aclose(self, reason: Literal["caller", "client"] = "caller") -> Awaited[None]: ...

_T = TypeVar("_T")

@final
class Awaited(Coroutine[Any, Any, _T_co], Generic[_T_co]):
    """A coroutine: `await` takes it, and whatever of asyncio takes coroutines."""

    def __await__(self) -> Generator[Any, Any, _T_co]: ...
    @property
    def __name__(self) -> str: ...
    @property
    def __qualname__(self) -> str: ...
    @property
    def cr_await(self) -> Any: ...
    @property
    def cr_code(self) -> CodeType: ...
    @property
    def cr_frame(self) -> FrameType | None: ...
    @property
    def cr_running(self) -> bool: ...
    @property
    def cr_state(self) -> str: ...
    @property
    def cr_suspended(self) -> bool: ...
    def send(self, value: None) -> Any: ...
    def throw(self, typ: Any, val: BaseException | object = None, tb: TracebackType | None = None) -> Any: ...
    def close(self) -> None: ...

@final
class Frame:
    """One encoded item: immutable, with the buffer protocol."""

    def decode(self) -> Any: ...
    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, index: SupportsIndex, /) -> int: ...
    @overload
    def __getitem__(self, index: slice, /) -> bytes: ...
    def __iter__(self) -> Iterator[int]: ...
    def __bytes__(self) -> bytes: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: dict[int, Any], /) -> Self: ...

@final
class Context:
    """A handler's view of its call."""

    @property
    def id(self) -> str: ...
    @property
    def metadata(self) -> Mapping[str, str]: ...
    @property
    def state(self) -> Any: ...
    @property
    def deadline(self) -> float | None: ...
    def remaining(self) -> float | None: ...
    @property
    def cancelled(self) -> bool: ...
    @property
    def cancel_reason(self) -> str | None: ...
    def wait_cancelled(self) -> Awaited[bool]: ...
    def cancel(self) -> None: ...
    @property
    def traceparent(self) -> str | None: ...
    @property
    def tracestate(self) -> str | None: ...

@final
class Codec:
    def __new__(
        cls,
        format: str,
        default: Callable[[Any], Any] | None = None,
        *,
        any_keys: bool = False,
        ascii: bool = False,
        bytes_base64: bool = False,
        nonfinite_null: bool = False,
        model_dump: dict[str, Any] | None = None,
    ) -> Self: ...

@final
class Pool:
    def __new__(cls, config: PoolConfig) -> Self: ...
    def trim(self) -> int: ...
    def stats(self) -> dict[str, Any]: ...

@final
class Worker:
    """A thread with an event loop of its own, started at first use; engines that are given the same object share it.

    The thread ends when neither the object nor one of them is left.

    Raises `ConfigError` for an unknown kind of loop.
    """

    def __new__(
        cls, loop: Literal["asyncio", "uvloop"] = "asyncio", cpu: int | None = None, name: str | None = None
    ) -> Self: ...
    @property
    def name(self) -> str: ...

@final
class LoopPort:
    def __call__(self) -> None: ...
    @property
    def retired(self) -> bool: ...

@final
class BlockingStream(Iterator[Any]):
    def __iter__(self) -> Self: ...
    def __next__(self) -> Any: ...
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *_exc_info: object) -> None: ...

@final
class Driver:
    def __await__(self) -> Generator[Any]: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> Any: ...
    @property
    def __name__(self) -> str: ...
    @property
    def __qualname__(self) -> str: ...
    @property
    def cr_await(self) -> Any: ...
    @property
    def cr_code(self) -> Any: ...
    @property
    def cr_frame(self) -> Any: ...
    @property
    def cr_running(self) -> bool: ...
    @property
    def cr_state(self) -> str: ...
    @property
    def cr_suspended(self) -> bool: ...
    def send(self, value: None) -> Any: ...
    def throw(self, typ: Any, val: BaseException | None = None, tb: TracebackType | None = None) -> Any: ...
    def close(self) -> None: ...

@final
class HttpExchange:
    """One request, from its head on, and its answer."""

    @staticmethod
    def of_stream(
        stream: Stream[bytes],
        framing: str,
        *,
        format: str | None,
        commit_after: float,
        keepalive: float,
        flush_interval: float,
        request_id: str | None,
    ) -> HttpExchange: ...
    @property
    def receives(self) -> bool: ...
    def receive(self, piece: bytes, more: bool) -> None: ...
    def head(self) -> Awaited[tuple[int, list[tuple[bytes, bytes]]] | None]: ...
    def read(self) -> Awaited[bytes | None]: ...
    @property
    def is_whole(self) -> bool: ...
    @property
    def is_abandoned(self) -> bool: ...
    def abandon(self, reason: str) -> None: ...
    def ended(self) -> Awaited[None]: ...

@final
class HttpProtocol:
    """What an HTTP application of one engine promises."""

    def __new__(
        cls,
        engine: Engine,
        *,
        openai: bool,
        path: str | None,
        models: Sequence[str],
        health: bool,
        metrics: bool,
        max_body: int,
        max_timeout: float,
        commit_after: float,
        keepalive: float,
        flush_interval: float,
        pass_headers: Sequence[str],
    ) -> Self: ...
    def exchange(self, method: str, path: str, headers: Iterable[Sequence[bytes]]) -> HttpExchange: ...

@final
class Engine:
    def __new__(
        cls,
        handler: Callable[..., Any],
        *,
        name: str,
        wants_context: bool,
        unary: bool,
        codec: Codec,
        pool: Pool | None,
        flow: FlowConfig,
        limits: Limits,
        worker: str | Worker,
        lifespan: Callable[[], AbstractAsyncContextManager[Any]] | None,
    ) -> Self: ...
    def open(
        self,
        kind: str,
        request: Any,
        codec: Codec | None = None,
        framing: str = "none",
        *,
        flush_interval: float = 0.0,
        encoded: Codec | None = None,
        request_id: str | None = None,
        metadata: dict[str, str] | None = None,
        timeout: float | None = None,
        idle_timeout: float | None = None,
        traceparent: str | None = None,
        tracestate: str | None = None,
        parent: Context | None = None,
        inherit: bool = True,
    ) -> Stream[Any]: ...
    def call(
        self,
        request: Any,
        codec: Codec | None = None,
        *,
        encoded: Codec | None = None,
        request_id: str | None = None,
        metadata: dict[str, str] | None = None,
        timeout: float | None = None,
        idle_timeout: float | None = None,
        traceparent: str | None = None,
        tracestate: str | None = None,
        parent: Context | None = None,
        inherit: bool = True,
    ) -> Awaited[Any]: ...
    def iterate(self, stream: Stream[_T]) -> BlockingStream: ...
    def drain(self) -> None: ...
    def close(self) -> None: ...
    def wait_idle(self, timeout: float | None = None) -> bool: ...
    def runs_caller(self) -> bool: ...
    def until_idle(self) -> Awaited[None]: ...
    @staticmethod
    def on_loop() -> bool: ...
    def trim(self) -> int: ...
    @property
    def state(self) -> str: ...
    def stats(self) -> dict[str, Any]: ...

def apply_memory(
    idle_release: Literal["malloc", "all", "off"], min_gain: int, tune_malloc: bool, system_allocator: bool
) -> None: ...
def restore_frame(
    data: bytes, format: str, any_keys: bool, limits: tuple[int, int, int, int, int, int, bool, int]
) -> Frame: ...
def encode(value: Any, codec: CodecName | AnyCodec = "msgpack", limits: Limits | None = None) -> Frame:
    """Encodes one value into a frame.

    Raises:
        EncodeError: The value, or something in it, is not of the value table; `.path` says where.
        LimitExceeded: It is over a limit.
    """

def decode(
    data: bytes | bytearray | memoryview | Frame,
    codec: CodecName | AnyCodec | None = None,
    limits: Limits | None = None,
) -> Any:
    """Decodes one whole message; bytes after it are an error.

    Args:
        data: A frame, bytes or anything with a buffer; for `"json"` and `"raw"` also text.
        codec: The format. By default that of a frame, and `"msgpack"` for anything else.
        limits: What the message is held to. By default the limits that a frame was encoded with, and `Limits()`.

    Raises:
        DecodeError: Not a message of the format; `.offset` says where.
        LimitExceeded: It is over a limit.
    """

def close_engines(timeout: float) -> None: ...
def configure_runtime(workers: int) -> None: ...
def current_context() -> Context: ...
def memory_obstacles() -> dict[str, str]: ...
def memory_snapshot(malloc_age: float = 0.0) -> dict[str, Any]: ...
def metrics_text() -> str:
    """Gives the counters of all engines, their pools and workers, and the process's memory, for a `/metrics` endpoint.

    Engines of the same name are counted together. A pool has the label `shared`, or the name of its first engine.
    """

def open_port(event_loop: asyncio.AbstractEventLoop, name: str, cpu: int | None) -> LoopPort: ...
def stop_runtime() -> None: ...
def thread_parking() -> str: ...
def interrupt_thread(ident: int) -> None: ...

bench_optimised: bool

def bench_run(
    lane: str,
    handler: Any,
    plan: Any,
    *,
    event_loop: asyncio.AbstractEventLoop | None = None,
    typed: bool = False,
    unary: bool = False,
) -> dict[str, Any]: ...
def bench_codec(
    operation: Literal["encode", "decode", "reference-encode", "reference-decode"],
    codec: Codec,
    payload: Any,
    repetitions: int,
) -> int: ...
