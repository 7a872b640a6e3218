"""docs/streams.md is true."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from pybridge import CallOptions

from support.engines import EngineMaker
from support.waiting import until

PAGE = (Path(__file__).parents[2] / "docs" / "streams.md").read_text()


def test_every_example_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) >= 4
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks:
        exec(block, names)
    names["engine"].close()


def test_every_reason_and_option_is_told(make_engine: EngineMaker) -> None:
    async def nothing(request: object) -> AsyncGenerator[None, None]:
        yield

    reasons = make_engine(nothing).stats().streams.cancelled
    assert len(reasons) == 8
    for name in (*reasons, *CallOptions.__annotations__):
        assert f"`{name}`" in PAGE, name


async def test_handler_ends_when_the_task_of_a_framework_is_cancelled_that_keeps_its_iterator(
    make_engine: EngineMaker,
) -> None:
    """The recipe for frameworks."""

    async def handler(request: object) -> AsyncGenerator[int, None]:
        try:
            yield 0
            await asyncio.Event().wait()
        finally:
            ended.append(1)

    async def body() -> AsyncGenerator[bytes, None]:
        async with engine.chunks(None, framing="sse") as chunks:
            async for chunk in chunks:
                yield chunk

    async def send() -> None:
        async for chunk in kept:
            sent.append(chunk)  # noqa: PERF401 - what came before the cancellation counts

    ended: list[int] = []
    sent: list[bytes] = []
    engine = make_engine(handler)
    kept = body()
    task = asyncio.ensure_future(send())
    await until(lambda: sent, "the first chunk")
    task.cancel()
    await asyncio.wait([task])
    assert ended == [1]
    assert engine.stats().streams.cancelled["caller"] == 1
