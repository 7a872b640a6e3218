"""Handlers that fail in every way a client may meet; the gateway is started in this folder."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

from pybridge import Context, PublicError


async def chat(request: dict[str, Any], context: Context) -> AsyncIterator[dict[str, Any]]:
    """Does what each word of the last message says; notes its begin and its end on standard error."""

    def chunk(text: str, finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}
        return {"id": context.id, "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [choice]}

    print(f"{context.id}: begun", file=sys.stderr, flush=True)
    ending = "finished"
    try:
        for word in request["messages"][-1]["content"].split():
            match word:
                case "raise!":
                    raise ValueError("a private text")
                case "public!":
                    raise PublicError("no such model", status=404, code="model_not_found")
                case "wait!":
                    await asyncio.Event().wait()
                case "pause!":
                    await asyncio.sleep(0.3)
                case _:
                    yield chunk(word)
                    await asyncio.sleep(0)
        yield chunk("", "stop")
    except asyncio.CancelledError:
        ending = str(context.cancel_reason)
        raise
    except Exception as error:
        ending = type(error).__name__
        raise
    finally:
        print(f"{context.id}: {ending}", file=sys.stderr, flush=True)


async def count(request: dict[str, str]) -> dict[str, int]:
    """Counts the words of a text."""
    return {"words": len(request["text"].split())}
