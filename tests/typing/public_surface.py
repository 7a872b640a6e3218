"""The public surface as a type checker sees it; checked by mypy, never run.

A line with an ignore is one that must be an error: an ignore that is not needed fails the check.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, assert_type

from pybridge import (
    Context,
    EngineStats,
    FlowConfig,
    Frame,
    JsonCodec,
    Limits,
    MemoryStats,
    MsgpackCodec,
    Pool,
    PoolConfig,
    PooledEngine,
    RawCodec,
    ServeOptions,
    Server,
    Stream,
    Worker,
    configure_memory,
    current_context,
    decode,
    encode,
    from_sync,
    memory,
    metrics_text,
    serve,
)


async def handler(request: dict[str, Any], context: Context) -> AsyncIterator[int]:
    assert_type(context.id, str)
    assert_type(context.cancelled, bool)
    assert_type(context.remaining(), float | None)
    assert_type(await context.wait_cancelled(), bool)
    assert_type(await asyncio.create_task(context.wait_cancelled()), bool)
    yield 1


def synchronous(request: str) -> Iterator[int]:
    yield len(request)


async def streams(engine: PooledEngine) -> None:
    assert_type(engine({}), Stream[Any])
    assert_type(engine.frames({}), Stream[Frame])
    assert_type(engine.chunks({}, framing="sse"), Stream[bytes])
    assert_type(engine.iter({}), Iterator[Any])
    assert_type(engine.stats(), EngineStats)
    async for frame in engine.frames({}, timeout=1.0, metadata={"user": "a"}, parent=None):
        assert_type(frame, Frame)
        assert_type(bytes(frame), bytes)
        assert_type(len(frame), int)
    async with engine.frames({}) as stream:
        assert_type(stream, Stream[Frame])
        assert_type(await anext(stream), Frame)
        assert_type(await asyncio.wait_for(anext(stream), 1), Frame)
        await stream.aclose(reason="client")
        await stream.aclose("shutdown")  # type: ignore[arg-type]
    engine.chunks({}, framing="xml")  # type: ignore[arg-type]
    engine({}, timeout="1 s")  # type: ignore[arg-type]
    engine({}, deadline=1.0)  # type: ignore[call-arg]


def settings() -> None:
    assert_type(PoolConfig(segment_bytes="128KiB", max_live_bytes=2**30).segment_bytes, int)
    assert_type(PoolConfig().max_live_bytes, int | None)
    assert_type(FlowConfig(high_water="2MiB", cancel_grace=1).cancel_grace, float)
    assert_type(Limits(max_frame_bytes="1MiB").max_frame_bytes, int)
    FlowConfig(flush="never")  # type: ignore[arg-type]
    PoolConfig(segment_size=1)  # type: ignore[call-arg]
    JsonCodec(bytes="hex")  # type: ignore[arg-type]
    PoolConfig().segment_bytes = 1  # type: ignore[misc]


def engines() -> None:
    PooledEngine(handler, codec=MsgpackCodec(keys="any"), pool=Pool(), worker=Worker("uvloop"))
    PooledEngine(from_sync(synchronous), codec="raw", pool=PoolConfig(), worker="dedicated", flow=FlowConfig())
    PooledEngine(handler, codec="yaml")  # type: ignore[arg-type]
    PooledEngine(handler, "json")  # type: ignore[call-arg]
    assert_type(from_sync(synchronous), Callable[..., AsyncGenerator[int, None]])


def functions() -> None:
    assert_type(encode({"a": 1}, "json"), Frame)
    assert_type(decode(b"1", RawCodec()), Any)
    assert_type(current_context(), Context)
    assert_type(metrics_text(), str)


def process() -> None:
    assert_type(configure_memory(idle_release="all", min_gain="8MiB", tune_malloc=True), dict[str, str])
    assert_type(memory(), MemoryStats)
    configure_memory(idle_release="sometimes")  # type: ignore[arg-type]
    configure_memory(python_allocator="leave", min_gain=2**20)


async def served(engine: PooledEngine) -> None:
    options: ServeOptions = {"protocol": "openai", "models": ["small"], "max_body": "1MiB", "access_log": "json"}
    async with Server(engine, port=0, **options) as server:
        assert_type(server, Server)
        assert_type(server.url, str)
        assert_type(server.port, int)
    Server(engine, protocol="soap")  # type: ignore[arg-type]
    Server(engine, max_bodies=1)  # type: ignore[call-arg]
    serve(engine, host="::1", drain_timeout=10, tls_cert=Path("chain.pem"), tls_key="key.pem")
    serve(engine, access_log="loud")  # type: ignore[arg-type]
