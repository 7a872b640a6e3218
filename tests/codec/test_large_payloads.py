"""Large payloads: shared where nothing can change them, copied once elsewhere."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pybridge import PooledEngine, RawCodec, Worker

from support.leaks import reference_count
from support.waiting import turns, until

MEGABYTE = 1 << 20


def handler_of(payload: Any) -> Any:
    async def handler(request: int) -> AsyncIterator[Any]:
        for _ in range(request):
            yield payload

    return handler


def live_bytes(engine: PooledEngine) -> int:
    return engine.stats().pool.live_bytes


@pytest.mark.guarantee("V-20")
async def test_immutable_bytes_of_a_raw_stream_are_shared_and_smaller_ones_copied() -> None:
    for size, shared in ((MEGABYTE, True), (64 << 10, True), ((64 << 10) - 1, False), (100, False)):
        payload = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        async with PooledEngine(handler_of(payload), codec="raw", worker="attached") as engine:
            references = reference_count(payload)
            before = references()
            frames = [frame async for frame in engine.frames(3)]
            assert [bytes(frame) for frame in frames] == [payload] * 3
            assert references() - before == (3 if shared else 0)
            if shared:
                assert live_bytes(engine) < MEGABYTE
            del frames
            assert references() == before


@pytest.mark.parametrize("kind", ["attached", "dedicated"])
async def test_a_payload_is_let_go_two_turns_after_the_last_frame_was_taken(kind: str, collector_off: None) -> None:
    worker: Any = Worker(name="pybridge-payload") if kind == "dedicated" else "attached"
    payload = bytes(MEGABYTE)
    async with PooledEngine(handler_of(payload), codec="raw", worker=worker) as engine:
        references = reference_count(payload)
        before = references()
        async for frame in engine.frames(20):
            assert len(frame) == MEGABYTE
        del frame
        if kind == "attached":
            await turns(2)
        else:
            await until(lambda: references() <= before, "the worker has let the payload go")
        assert references() == before


async def test_a_view_keeps_the_payload_and_only_as_long_as_it_lives() -> None:
    payload = bytes(MEGABYTE)
    references = reference_count(payload)
    before = references()
    async with PooledEngine(handler_of(payload), codec="raw", worker="attached") as engine:
        frame = await anext(stream := engine.frames(1))
        await stream.aclose()
    view = memoryview(frame)
    del frame, stream, engine
    gc.collect()
    assert view.nbytes == MEGABYTE
    assert references() > before
    view.release()
    await until(lambda: references() == before, "the payload is let go with its last view")


@pytest.mark.guarantee("S-02", "V-20")
@pytest.mark.parametrize(
    "make", [bytearray, lambda data: memoryview(bytearray(data)), lambda data: data.decode("latin-1")]
)
@pytest.mark.parametrize("framing", ["none", "length"])
async def test_mutable_payloads_and_text_are_copied_when_yielded(make: Any, framing: Any) -> None:
    source = b"a" * MEGABYTE

    async def handler(request: int) -> AsyncIterator[Any]:
        payload = make(source)
        yield payload
        if not isinstance(payload, str):
            payload[:] = b"b" * MEGABYTE
        yield payload

    async with PooledEngine(handler, codec=RawCodec(), worker="attached") as engine:
        whole = b"".join([bytes(chunk) async for chunk in engine.chunks(1, framing=framing)])
    head = MEGABYTE.to_bytes(4, "big") if framing == "length" else b""
    second = source if isinstance(make(source), str) else b"b" * MEGABYTE
    assert whole == head + source + head + second


async def test_small_frames_before_and_after_a_shared_one_keep_their_order() -> None:
    big = bytes(range(256)) * 512

    async def handler(request: int) -> AsyncIterator[bytes]:
        for number in range(request):
            yield b"%d" % number
            yield big
            if number % 3 == 0:
                await asyncio.sleep(0)

    async with PooledEngine(handler, codec="raw") as engine:
        frames = [bytes(frame) async for frame in engine.frames(50)]
    expected = [part for number in range(50) for part in (b"%d" % number, big)]
    assert frames == expected


@pytest.mark.guarantee("V-20")
async def test_bytes_objects_of_subclasses_are_copied() -> None:
    class Own(bytes):
        pass

    payload = Own(MEGABYTE)
    async with PooledEngine(handler_of(payload), codec="raw", worker="attached") as engine:
        references = reference_count(payload)
        before = references()
        frames = [frame async for frame in engine.frames(2)]
        assert references() == before
        assert [len(frame) for frame in frames] == [MEGABYTE] * 2
        del frames
