"""The oracle: what a handler gives under plain asyncio, without the bridge."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import msgspec


class Outcome(NamedTuple):
    """What a stream came to: its items as they were when yielded, and the exception that ended it, if any."""

    items: list[Any]
    ending: str | None


def snapshot(item: object) -> Any:
    """The item as it is now; later changes do not show."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(item))


async def outcome_of(stream: AsyncIterator[Any]) -> Outcome:
    """Takes everything, and notes how it ended."""
    items: list[Any] = []
    try:
        async for item in stream:
            items.append(snapshot(item))  # noqa: PERF401 - captured before the next is made
    except Exception as error:
        return Outcome(items, f"{type(error).__name__}: {error}")
    return Outcome(items, None)


async def drive(handler: Callable[[Any], AsyncIterator[Any]], request: Any) -> Outcome:
    """Drives the handler in one task of its own, as an engine does."""
    return await asyncio.create_task(outcome_of(handler(request)))
