"""The handler behind every server of the benchmark, once for each way of making items."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

Items = AsyncIterator[dict[str, Any]]

PACE_SECONDS = 0.02
BURST = 8


def chunk() -> dict[str, Any]:
    """A chunk as language model servers stream them, made anew each time."""
    return {
        "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
        "object": "chat.completion.chunk",
        "created": 1741569952,
        "model": "demo",
        "choices": [{"index": 0, "delta": {"content": " word"}, "logprobs": None, "finish_reason": None}],
    }


async def awaiting(request: dict[str, Any]) -> Items:
    """Goes through the event loop before each item."""
    for _ in range(request["items"]):
        await asyncio.sleep(0)
        yield chunk()


async def bursts(request: dict[str, Any]) -> Items:
    """Gives eight items after each time through the event loop."""
    for index in range(request["items"]):
        if index % BURST == 0:
            await asyncio.sleep(0)
        yield chunk()


async def paced(request: dict[str, Any]) -> Items:
    """Gives fifty items a second."""
    for _ in range(request["items"]):
        await asyncio.sleep(PACE_SECONDS)
        yield chunk()


async def tight(request: dict[str, Any]) -> Items:
    """Never waits."""
    for _ in range(request["items"]):
        yield chunk()


async def single(_request: dict[str, Any]) -> Items:
    """Gives one item, whatever the request holds."""
    yield chunk()


async def unary(_request: dict[str, Any]) -> dict[str, Any]:
    """Returns one value, whatever the request holds."""
    return chunk()
