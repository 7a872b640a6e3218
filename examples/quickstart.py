"""An unmodified async generator behind a pooled engine, consumed in every way."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from pybridge import PooledEngine


async def chat(request: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    """Any async generator: nothing in it knows pybridge."""
    for word in request["prompt"].split():
        await asyncio.sleep(0)
        yield {"token": word}


async def length(request: dict[str, Any]) -> int:
    """A handler that gives one value."""
    return len(request["prompt"])


async def main() -> None:
    request = {"prompt": "Hello pooled world"}
    async with PooledEngine(chat) as engine, PooledEngine(length, unary=True) as unary:
        async for item in engine(request):  # items, decoded from their frames
            print("item", item)
        async for frame in engine.frames(request):  # encoded items: any buffer consumer takes them, without a copy
            print("frame of", len(frame), "bytes:", frame.decode())
        async for chunk in engine.chunks(request, framing="sse"):  # bytes for a socket, about one chunk per loop turn
            print("chunk", bytes(chunk))
        print("call", await unary.call(request))
        print("streams so far", engine.stats().streams.finished)


def without_a_loop() -> None:
    """A plain thread: the handler runs on pybridge's own worker."""
    with PooledEngine(chat) as engine:
        print("iter", [item["token"] for item in engine.iter({"prompt": "no loop here"})])


asyncio.run(main())
without_a_loop()
