"""The handlers that `src/main.rs` serves: ordinary Python, which knows nothing of Rust or HTTP."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from pybridge import Context, InvalidArgument


async def chat(request: dict[str, Any], context: Context) -> AsyncIterator[dict[str, Any]]:
    """Answers a chat completion of OpenAI's shape: it says the last message again, a word at a time."""
    if not request.get("messages"):
        raise InvalidArgument("messages: there must be one", code="missing_messages")
    envelope = {
        "id": context.id,
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": request.get("model", "echo"),
    }

    def chunk(delta: dict[str, str], finish_reason: str | None = None) -> dict[str, Any]:
        return envelope | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}

    yield chunk({"role": "assistant", "content": ""})
    for word in request["messages"][-1]["content"].split():
        await asyncio.sleep(0.02)  # the model thinks
        yield chunk({"content": word + " "})
    yield chunk({}, finish_reason="stop")


async def count(request: dict[str, str]) -> dict[str, int]:
    """Counts the words of a text."""
    return {"words": len(request["text"].split())}
