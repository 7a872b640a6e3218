"""A synchronous generator, such as an iterator of a blocking library, as a stream: each gets a thread of its own."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

from pybridge import PooledEngine, from_sync

closed: list[int] = []


def read_lines(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Blocks as it likes; the event loop goes on."""
    try:
        for number in range(request["lines"]):
            yield {"line": number, "on_main_thread": threading.current_thread() is threading.main_thread()}
    finally:
        closed.append(request["lines"])


async def main() -> None:
    async with PooledEngine(from_sync(read_lines)) as engine:
        async for item in engine({"lines": 2}):
            print(item)
        async with engine({"lines": 1_000_000}) as stream:  # ended early: closed between two items
            print("first of many:", (await anext(stream))["line"])
    print("closed:", closed)


asyncio.run(main())
