"""Items that cannot be encoded: the end of their stream, and the others that go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from pybridge import EncodeError, MsgpackCodec, PooledEngine

from support.consumers import collect, take


@pytest.mark.guarantee("S-07")
@pytest.mark.parametrize("codec", ["msgpack", "json"])
@pytest.mark.parametrize("worker", ["attached", "dedicated"])
async def test_an_item_that_cannot_be_encoded_ends_its_stream_with_the_path(codec: Any, worker: Any) -> None:
    cleaned: list[int] = []

    async def handler(request: int) -> AsyncIterator[Any]:
        try:
            for number in range(1, 11):
                yield {"number": number, "bad": [object()] if number == request else []}
        finally:
            cleaned.append(request)

    async with PooledEngine(handler, codec=codec, worker=worker) as engine:
        stream = engine(5)
        assert [item["number"] for item in await take(stream, 4)] == [1, 2, 3, 4]
        with pytest.raises(EncodeError) as caught:
            await anext(stream)
        assert caught.value.path == "$.bad[0]"
        assert "object" in str(caught.value)
        assert cleaned == [5]
        assert len(await collect(engine(0))) == 10
        stats = engine.stats()
        assert (stats.streams.raised, stats.streams.finished) == (1, 1)


@pytest.mark.guarantee("V-19")
async def test_frames_beside_failed_ones_are_exact() -> None:
    """A failed encode leaves no byte behind: in its own stream, nor in those that share its segment."""

    async def good(request: int) -> AsyncIterator[Any]:
        for number in range(200):
            yield {"stream": request, "number": number, "pad": "x" * (number * 37 % 900)}
            await asyncio.sleep(0)

    async def bad(request: int) -> AsyncIterator[Any]:
        await asyncio.sleep(0)
        yield {"fine": request}
        yield {"pad": "y" * (request * 1009 % 70_000), "bad": object()}

    async with PooledEngine(good, worker="attached") as fine, PooledEngine(bad, worker="attached") as failing:

        async def fail(request: int) -> None:
            stream = failing.frames(request)
            assert bytes(await anext(stream)) == msgspec.msgpack.encode({"fine": request})
            with pytest.raises(EncodeError):
                await anext(stream)

        async def succeed(request: int) -> None:
            frames = [bytes(frame) async for frame in fine.frames(request)]
            assert [msgspec.msgpack.decode(frame) for frame in frames] == [
                {"stream": request, "number": number, "pad": "x" * (number * 37 % 900)} for number in range(200)
            ]

        await asyncio.gather(*map(succeed, range(4)), *map(fail, range(100)))


@pytest.mark.guarantee("V-16")
async def test_a_container_changed_by_the_hook_ends_the_stream_and_no_other() -> None:
    """What the codec refuses, through a stream."""
    box: list[Any] = []

    def hook(_: object) -> Any:
        box.clear()
        return 1

    async def handler(request: str) -> AsyncIterator[Any]:
        yield request
        box[:] = [object(), 2, 3]
        yield box if request == "bad" else [1]

    async with PooledEngine(handler, codec=MsgpackCodec(default=hook), worker="attached") as engine:
        for _ in range(3):
            with pytest.raises(EncodeError, match="container changed"):
                await collect(engine("bad"))
            assert await collect(engine("good")) == ["good", [1]]


@pytest.mark.guarantee("V-18")
async def test_a_hook_may_run_a_stream_of_its_own() -> None:
    """The inner frames have a buffer of their own."""

    async def inner(request: int) -> AsyncIterator[Any]:
        for number in range(request):
            yield {"inner": number, "pad": "i" * number}

    nested = PooledEngine(inner, worker="attached")
    running: list[asyncio.Task[Any]] = []

    def hook(value: Any) -> Any:
        running.append(asyncio.get_running_loop().create_task(collect(nested(20))))
        return "hooked"

    async def handler(request: int) -> AsyncIterator[Any]:
        for number in range(request):
            yield {"outer": number, "hooked": [object()], "pad": "o" * number}

    async with nested, PooledEngine(handler, codec=MsgpackCodec(default=hook), worker="attached") as engine:
        items = await collect(engine(20))
        assert items == [{"outer": n, "hooked": ["hooked"], "pad": "o" * n} for n in range(20)]
        for task in running:
            assert await task == [{"inner": n, "pad": "i" * n} for n in range(20)]
