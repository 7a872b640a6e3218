"""Handlers that make their items one by one, when a test allows it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from support.engines import EngineMaker
from support.waiting import until


class Gate:
    """Lets a handler make its items one by one, from any thread."""

    def __init__(self) -> None:
        self.closed: list[int] = []

    async def __call__(self, request: object) -> AsyncGenerator[int, None]:
        self.loop = asyncio.get_running_loop()
        self.permits = asyncio.Semaphore(0)
        try:
            for number in range(10):
                await self.permits.acquire()
                yield number
        finally:
            self.closed.append(1)

    def allow(self, number: int = 1) -> None:
        for _ in range(number):
            self.loop.call_soon_threadsafe(self.permits.release)


async def opened_at_gate(make_engine: EngineMaker) -> tuple[Any, Gate]:
    """A stream whose handler has yielded one item and waits."""
    gate = Gate()
    stream = make_engine(gate)(None)
    first = asyncio.ensure_future(stream.__anext__())
    await until(lambda: hasattr(gate, "permits"), "the handler has begun")
    gate.allow()
    assert await first == 0
    return stream, gate
