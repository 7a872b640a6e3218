"""The handler that `src/main.rs` serves: ordinary Python, which knows nothing of Rust."""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any


async def chat(request: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    """Yields one token per word; some requests make it fail in the ways that a consumer has to tell apart."""
    try:
        for index, word in enumerate(request["prompt"].split()):
            match word:
                case "raise!":
                    raise RuntimeError("the model is gone")
                case "wait!":
                    await asyncio.sleep(3600)
                case "odd!":
                    yield {"text": word, "index": "not a number"}
                case _:
                    yield {"text": word, "index": index}
            await asyncio.sleep(0)
    finally:
        print(f"cleaned up after {request['prompt']!r}", file=sys.stderr)


async def annotated(request: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    """Yields data with the fields that protocols such as server-sent events have beside it."""
    yield {"comments": ["warming up"]}
    async for token in chat(request):
        yield {"event": "token", "data": token}
    yield {"event": "done"}
