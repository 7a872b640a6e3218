"""`PooledEngine`: an async generator function behind pooled, encoded streams."""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import functools
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, TypeVar, Unpack

from pybridge import _pybridge
from pybridge._call_options import CallOptions, check_seconds, check_text, checked
from pybridge._configure_memory import settle_memory
from pybridge._handler_checks import check_call, check_handler
from pybridge._handlers import handler_name, takes_context
from pybridge._http_options import HttpOptions, Protocol
from pybridge._native import native_codec, native_pool
from pybridge.asgi import AsgiApp
from pybridge.codecs import Codec, CodecName, MsgpackCodec, resolve_codec
from pybridge.config import FlowConfig, Limits, PoolConfig, Size
from pybridge.errors import ConfigError
from pybridge.pool import Pool
from pybridge.stats import EngineStats

if TYPE_CHECKING:
    from pybridge._starlette_response import Background, StreamResponse

Framing: TypeAlias = Literal["none", "sse", "ndjson", "length"]
"""How items are told apart in chunks."""

Placement: TypeAlias = Literal["auto", "attached", "dedicated"]
"""Where handlers run: on the caller's loop, on pybridge's own, or decided per call."""

PATIENCE = 10.0
"""Seconds that `aclose()` waits before it says for what."""

_log = logging.getLogger("pybridge.engine")

_T = TypeVar("_T")


class PooledEngine:
    """Runs a handler's streams on one worker thread and encodes what it yields into pooled buffers.

    An engine is called like its handler and gives an async iterator. Its settings are checked once, here.

    Args:
        handler: An async generator function, or anything that returns an async generator or iterator, or a coroutine
            for one. It gets exactly one positional argument, the request, and `context=` if it has a parameter of
            that name.
        codec: Format of frames and of requests that come as bytes: `"msgpack"`, `"json"`, `"raw"` or a codec object.
        pool: Where buffers come from: a `PoolConfig` for a pool of its own, a `Pool` to share, None for the process's.
        flow: Batches, back-pressure, concurrency and the grace of cancelled handlers.
        limits: How much one message may be.
        worker: `"auto"`: the caller's loop where one runs, else pybridge's own thread. `"attached"`: the caller's loop.
            `"dedicated"`: pybridge's own thread. Or a `Worker`.
        context: Whether the handler gets `context=`; None: read from its signature.
        unary: The handler is a coroutine function that returns one value.
        lifespan: Gives an async context manager that is entered on the worker before its first request and left when
            the engine or the loop closes; what it yields is `Context.state`. What it raises when it is left is logged.
            It runs in a copy of the context in which the engine is made. Calls that it makes, itself, in a task or
            through another lifespan, and that would wait for it are a `RuntimeError`.
        name: Name in statistics and logs; by default the handler's.

    Raises:
        TypeError: The handler cannot be called, can be called only once, or is synchronous.
        ConfigError: A setting that cannot be, naming it.
    """

    def __init__(
        self,
        handler: Callable[..., Any],
        *,
        codec: CodecName | Codec = "msgpack",
        pool: PoolConfig | Pool | None = None,
        flow: FlowConfig | None = None,
        limits: Limits | None = None,
        worker: Placement | _pybridge.Worker = "auto",
        context: bool | None = None,
        unary: bool = False,
        lifespan: Callable[[], AbstractAsyncContextManager[Any]] | None = None,
        name: str | None = None,
    ) -> None:
        check_handler(handler)
        self._codec = resolve_codec(codec)
        self._flow = FlowConfig() if flow is None else _checked("flow", flow, FlowConfig)
        self._limits = Limits() if limits is None else _checked("limits", limits, Limits)
        if not isinstance(worker, _pybridge.Worker) and worker not in ("auto", "attached", "dedicated"):
            raise ConfigError("worker", f"must be 'auto', 'attached', 'dedicated' or a Worker, not {worker!r}")
        if context is not None and not isinstance(context, bool):
            raise ConfigError("context", f"must be True, False or None, not {context!r}")
        if lifespan is not None and not callable(lifespan):
            raise ConfigError("lifespan", "must be a function that returns an async context manager")
        if name is not None:
            check_text("name", name)
        wants_context = takes_context(handler) if context is None else context
        check_call(handler, context=wants_context, unary=bool(unary))
        settle_memory()
        self._core = _pybridge.Engine(
            handler,
            name=handler_name(handler) if name is None else name,
            wants_context=wants_context,
            unary=bool(unary),
            codec=native_codec(self._codec),
            pool=native_pool(pool),
            flow=self._flow,
            limits=self._limits,
            worker=worker,
            lifespan=lifespan,
        )
        self._name = handler_name(handler) if name is None else name
        self._unary = bool(unary)
        self._handler = handler

    def __call__(
        self, request: Any, *, codec: CodecName | Codec | None = None, **options: Unpack[CallOptions]
    ) -> _pybridge.Stream[Any]:
        """Calls the handler; gives the stream of its items, decoded from their frames.

        Nothing happens before the stream's first `__anext__` or `__aenter__`, which raises `Overloaded` or
        `EngineClosed` where there is no place. Then `__anext__` raises what the handler raised, `EncodeError`,
        `LimitExceeded`, or `StreamCancelled` with the reason.
        """
        return self._open("items", request, codec, "none", options)

    def frames(
        self, request: Any, *, codec: CodecName | Codec | None = None, **options: Unpack[CallOptions]
    ) -> _pybridge.Stream[_pybridge.Frame]:
        """Calls the handler; gives the stream of its items as encoded frames, not decoded and not copied."""
        return self._open("frames", request, codec, "none", options)

    def chunks(
        self,
        request: Any,
        *,
        framing: Framing = "none",
        codec: CodecName | Codec | None = None,
        flush_interval: float = 0,
        **options: Unpack[CallOptions],
    ) -> _pybridge.Stream[bytes]:
        """Calls the handler; gives its encoded and framed items as `bytes` ready for a socket.

        A chunk holds whole items: all that had arrived, about one loop turn's.

        Args:
            request: What the handler gets.
            framing: `"none"`: items one after the other. `"sse"`: one server-sent event each. `"ndjson"`: one line
                each. `"length"`: a big-endian u32 length before each. The text framings mean JSON unless the codec is
                raw.
            codec: The stream's codec; None: the engine's.
            flush_interval: At most one chunk in so many seconds, in one piece, for proxies and distributed engines to
                which each piece is a message. The first chunk and the end leave at once, and so does what has reached
                the flow's `high_water`. Intervals are those of one clock: chunks of all streams leave together. 0: each
                chunk as it crosses.
            **options: See `CallOptions`.

        Raises:
            ConfigError: An unknown framing, MessagePack asked for by name in a text framing, or an interval that
                cannot be.
        """
        if framing not in ("none", "sse", "ndjson", "length"):
            raise ConfigError("framing", f"must be 'none', 'sse', 'ndjson' or 'length', not {framing!r}")
        if framing in ("sse", "ndjson") and codec is not None and isinstance(resolve_codec(codec), MsgpackCodec):
            raise ConfigError("codec", f"MessagePack is binary and cannot be framed as {framing}")
        interval = check_seconds("flush_interval", flush_interval)
        return self._open("chunks", request, codec, framing, options, flush_interval=interval)

    async def call(
        self, request: Any, *, codec: CodecName | Codec | None = None, **options: Unpack[CallOptions]
    ) -> Any:
        """Calls a handler that gives exactly one item, and returns that. Suspends until the handler has ended.

        Raises:
            ValueError: The handler gave none or several.
        """
        if codec is None and not options:
            return await self._core.call(request)
        native = None if codec is None else native_codec(codec)
        return await self._core.call(request, native, **self._keywords(options))

    def iter(
        self, request: Any, *, codec: CodecName | Codec | None = None, **options: Unpack[CallOptions]
    ) -> Iterator[Any]:
        """Calls the handler and iterates over its items, blocking; for threads without an event loop.

        Raises:
            RuntimeError: An event loop runs on this thread.
        """
        return self._core.iterate(self._open("items", request, codec, "none", options))

    def asgi(
        self,
        protocol: Protocol = "generic",
        *,
        path: str | None = None,
        models: Sequence[str] | None = None,
        health: bool = False,
        metrics: bool = False,
        max_body: Size = "32MiB",
        max_timeout: float = 3600.0,
        commit_after: float = 10.0,
        keepalive: float = 15.0,
        flush_interval: float = 0.0,
        pass_headers: Sequence[str] = (),
    ) -> AsgiApp:
        """The engine as an ASGI 3 application: for any ASGI server, or mounted in Starlette and FastAPI.

        Args:
            protocol: `"generic"`: a request is a POST of the handler's request, the answer its items. `"openai"`: the
                endpoints of OpenAI's API for chat, completions and models.
            path: Where calls go: `/generate`, or for OpenAI's paths what they begin with, `/v1`.
            models: Names that OpenAI's clients may ask for; None: any.
            health: Answer `/health/live` and `/health/ready`.
            metrics: Answer `/metrics`, in the text format of Prometheus.
            max_body: Longest body of a request; a longer one gets status 413, and so does one over the engine's own
                `Limits.max_frame_bytes`.
            max_timeout: Most seconds that a client may ask for with `X-Request-Timeout`.
            commit_after: Seconds that the head of a streamed answer waits for the first item or the failure.
            keepalive: Seconds of silence after which server-sent events get a comment. 0: never.
            flush_interval: At most one chunk in so many seconds; see `chunks`.
            pass_headers: Headers of the request that become `Context.metadata`, under their names in lower case.

        Raises:
            ConfigError: An option that cannot be, naming it.
        """
        options = HttpOptions(
            protocol=protocol,
            path=path,
            models=() if models is None else models,
            health=health,
            metrics=metrics,
            max_body=max_body,
            max_timeout=max_timeout,
            commit_after=commit_after,
            keepalive=keepalive,
            flush_interval=flush_interval,
            pass_headers=pass_headers,
        )
        return AsgiApp(self._core, options)

    def response(
        self,
        request: Any,
        *,
        framing: Framing = "sse",
        codec: CodecName | Codec | None = None,
        flush_interval: float = 0.0,
        commit_after: float = 10.0,
        keepalive: float = 15.0,
        headers: Mapping[str, str] | None = None,
        background: Background | None = None,
        **options: Unpack[CallOptions],
    ) -> StreamResponse:
        """Calls the handler; gives the response with its items for a route of Starlette's or FastAPI's.

        The call starts when the framework sends the response. The status is decided by the first item or the failure
        before it; a failure later breaks the answer off, after an event that tells of it where it is server-sent
        events. When the client gives up, or the framework leaves the response, the handler is cancelled.

        Args:
            request: What the handler gets; bytes with `encoded="json"` are decoded on the worker.
            framing: `"sse"`, `"ndjson"`, `"length"` or `"none"`; see `chunks`.
            codec: The stream's codec; None: the engine's.
            flush_interval: At most one chunk in so many seconds; see `chunks`.
            commit_after: Seconds that the head waits for the first item or the failure.
            keepalive: Seconds of silence after which server-sent events get a comment. 0: never.
            headers: Added to a response that is no failure; its own are the content type, the caching rules and the
                request's name.
            background: Runs after the response, as in any response of Starlette's.
            **options: See `CallOptions`.

        Raises:
            ConfigError: An option that cannot be, naming it.
            ImportError: Starlette is not installed.
        """
        from pybridge._starlette_response import StreamResponse  # noqa: PLC0415  # starlette is there for those who have it

        resolved = self._codec if codec is None else resolve_codec(codec)
        times = HttpOptions(commit_after=commit_after, keepalive=keepalive, flush_interval=flush_interval)
        begin = functools.partial(
            _pybridge.HttpExchange.of_stream,
            self.chunks(request, framing=framing, codec=codec, **options),
            framing,
            format=resolved.format,
            commit_after=times.commit_after,
            keepalive=times.keepalive,
            flush_interval=times.flush_interval,
            request_id=options.get("request_id"),
        )
        return StreamResponse(begin, headers=headers, background=background)

    def stats(self) -> EngineStats:
        """The counters since the engine was made."""
        return EngineStats.from_raw(self._raw_stats())

    def trim(self) -> int:
        """Gives the pool's idle memory back to the system now; returns the bytes."""
        return self._core.trim()

    def close(self, timeout: float | None = 0) -> None:
        """Takes no new calls, lets streams go on for `timeout` seconds (None: until done), then cancels the rest.

        They end with the reason `shutdown`. Idempotent. Blocks until the endings, at most for the flow's
        `cancel_grace` beyond `timeout`; on a thread that runs an event loop it cancels and returns at once.

        Raises:
            ValueError: `timeout` is negative or no number.
        """
        timeout = _patience(timeout)
        self._core.drain()
        if self._core.on_loop():
            self._core.close()
            return
        if timeout is None:
            if not self._core.wait_idle(PATIENCE):
                self._log_wait()
                self._core.wait_idle(None)
        elif timeout > 0:
            self._core.wait_idle(timeout)
        self._core.close()
        self._core.wait_idle(self._flow.cancel_grace)

    async def aclose(self, timeout: float | None = None) -> None:
        """Takes no new calls, lets streams go on for `timeout` seconds (None: until done), then cancels the rest.

        They end with the reason `shutdown`. Idempotent. Suspends until the endings, at most for the flow's
        `cancel_grace` beyond `timeout`.

        Raises:
            RuntimeError: A handler of this engine would wait for its own end.
            ValueError: `timeout` is negative or no number.
        """
        timeout = _patience(timeout)
        if timeout is None and self._core.runs_caller():
            msg = "a handler cannot wait for its own end: use close(), aclose() with a timeout, or a task of its own"
            raise RuntimeError(msg)
        self._core.drain()
        if timeout is None:
            if not await self._idle_within(PATIENCE):
                self._log_wait()
                await self._core.until_idle()
        elif timeout > 0:
            await self._idle_within(timeout)
        self._core.close()
        await self._idle_within(self._flow.cancel_grace)

    async def _idle_within(self, timeout: float) -> bool:
        idle = self._core.until_idle()
        try:
            async with asyncio.timeout(None) as bound:
                # A loop keeps a timer that was cancelled until it is due: this one must not keep the caller's context.
                contextvars.Context().run(bound.reschedule, asyncio.get_running_loop().time() + timeout)
                await idle
        except TimeoutError:
            return False
        return True

    def _log_wait(self) -> None:
        text = (
            "engine %s has waited %g s for the end of its streams, %d are live. One that was left half read ends when"
            " nothing refers to it any more, or with `async with stream`; close() and aclose(timeout) cancel it"
        )
        _log.warning(text, self._name, PATIENCE, self.stats().streams.live)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close(None if kind is None else 0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose(None if kind is None else 0)

    def __repr__(self) -> str:
        core = getattr(self, "_core", None)  # a debugger may look before the engine is made
        if core is None:
            return "<PooledEngine: not made>"
        return f"<PooledEngine {self._name} in {self._codec.format}: {core.state}>"

    @property
    def name(self) -> str:
        """Name in statistics and logs."""
        return self._name

    def _raw_stats(self) -> dict[str, Any]:
        raw = self._core.stats()
        raw["flow"]["config"] = dataclasses.asdict(self._flow)
        return raw

    def _open(
        self,
        kind: str,
        request: Any,
        codec: CodecName | Codec | None,
        framing: Framing,
        options: CallOptions,
        **more: Any,
    ) -> _pybridge.Stream[Any]:
        native = None if codec is None else native_codec(codec)
        return self._core.open(kind, request, native, framing, **more, **self._keywords(options))

    def _keywords(self, options: CallOptions) -> dict[str, Any]:
        """The options as the extension takes them."""
        if not options:
            return {}
        keywords = checked(options, self._limits)
        encoded = keywords.pop("encoded", None)
        if encoded is not None:
            keywords["encoded"] = native_codec(encoded, "encoded")
        if "parent" in keywords and keywords["parent"] is None:
            keywords["inherit"] = False
        return keywords


def _checked(field: str, value: _T, kind: type[_T]) -> _T:
    if not isinstance(value, kind):
        raise ConfigError(field, f"must be a {kind.__name__}, not {type(value).__name__}")
    return value


def _patience(timeout: object) -> float | None:
    """The time to wait; None: without bound."""
    if timeout is None:
        return None
    if not isinstance(timeout, int | float) or not timeout >= 0:
        raise ValueError(f"timeout must be at least 0 seconds, not {timeout!r}")
    return None if timeout > threading.TIMEOUT_MAX else timeout
