"""Consumers with a pace of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from types import TracebackType
from typing import Generic, TypeVar

from pybridge import Stream

T = TypeVar("T")


async def collect(stream: AsyncIterator[T]) -> list[T]:
    """Takes everything."""
    return [item async for item in stream]


async def take(stream: AsyncIterator[T], number: int) -> list[T]:
    """Takes so many items, and fails when the stream ends before."""
    return [await anext(stream) for _ in range(number)]


async def take_late(stream: AsyncIterator[T], number: int, seconds: float) -> list[T]:
    """Takes so many items, and its time before."""
    await asyncio.sleep(seconds)
    return await take(stream, number)


class SlowConsumer(Generic[T]):
    """Takes items only when allowed to, in a task of its own; closes the stream when it is left.

    async with SlowConsumer(stream) as consumer:
        consumer.allow(3)
        await consumer.until_taken(3)
    """

    def __init__(self, stream: Stream[T] | AsyncGenerator[T, None]) -> None:
        self.items: list[T] = []
        self._over = False
        self._stream = stream
        self._allowed = asyncio.Semaphore(0)
        self._took = asyncio.Condition()

    def allow(self, number: int) -> None:
        """Lets it take so many items more."""
        for _ in range(number):
            self._allowed.release()

    async def until_taken(self, number: int) -> list[T]:
        """Waits until it has taken so many items in all, or raises what the stream raised."""
        async with self._took:
            await self._took.wait_for(lambda: len(self.items) >= number or self._over)
        if len(self.items) < number:
            await self._task
            raise AssertionError(f"the stream ended after {len(self.items)} items")
        return self.items

    async def __aenter__(self) -> SlowConsumer[T]:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._stream.aclose()

    async def _run(self) -> None:
        try:
            await self._allowed.acquire()
            async for item in self._stream:
                async with self._took:
                    self.items.append(item)
                    self._took.notify_all()
                await self._allowed.acquire()
        finally:
            self._over = True
            async with self._took:
                self._took.notify_all()
