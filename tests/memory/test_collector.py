"""The bridge's share in the work of Python's cycle collector: nothing that grows with the items."""

from __future__ import annotations

import gc
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Self

import pytest

from pybridge import PooledEngine

ITEMS = 50_000


class Collections(AbstractContextManager["Collections"]):
    """Counts the collections of any generation while it is entered."""

    count = 0

    def __enter__(self) -> Self:
        gc.callbacks.append(self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        gc.callbacks.remove(self._note)

    def _note(self, phase: str, info: dict[str, int]) -> None:
        self.count += phase == "start"


async def numbers(request: object) -> AsyncGenerator[int, None]:
    """Items that the collector does not track."""
    for number in range(ITEMS):
        yield number


async def drain(stream: AsyncIterator[object]) -> int:
    count = 0
    async for _ in stream:
        count += 1
    return count


@pytest.mark.guarantee("M-14")
@pytest.mark.parametrize("kind", ["items", "frames", "chunks"])
@pytest.mark.parametrize("worker", ["attached", "dedicated"])
async def test_items_bring_the_collector_no_work(worker: str, kind: str) -> None:
    """As many collections as the bare generator causes, and a handful for the stream itself."""
    engine = PooledEngine(numbers, worker=worker)  # type: ignore[arg-type]
    open_stream: Any = {"items": engine, "frames": engine.frames, "chunks": engine.chunks}[kind]
    with Collections() as bare:
        assert await drain(numbers(None)) == ITEMS
    with Collections() as bridged:
        count = await drain(open_stream(None))
    assert count == ITEMS or kind == "chunks"
    # One object kept per item would be some seventy.
    assert bridged.count <= bare.count + 8
