"""The built-in handler of `pybridge bench`: an OpenAI-style token stream that needs no model.

It is a plain async generator: nothing in it knows pybridge. The same request always gives the same items, so that the
output of different bridges can be compared byte for byte.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

WORDS = (
    "The",
    " quick",
    " brown",
    " fox",
    " jumps",
    " over",
    " the",
    " lazy",
    " dog",
    ".",
    " Größe",
    " 東京",
    " 🦊",
    "\n",
)


async def chat(request: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    """Yields `max_tokens` chat-completion chunks and then one that says why it stopped.

    The request is the body of a chat completion; these fields matter:

    * `max_tokens`: how many tokens to make (64).
    * `delay`: seconds the model takes for a step (0: it awaits, but not for long).
    * `tokens_per_step`: tokens that one step makes (1), as with speculative decoding.
    """
    model = request.get("model", "demo")
    max_tokens = request.get("max_tokens", 64)
    delay = request.get("delay", 0)
    tokens_per_step = request.get("tokens_per_step", 1)
    for position in range(max_tokens):
        if position % tokens_per_step == 0:
            await asyncio.sleep(delay)
        yield chunk(model, WORDS[position % len(WORDS)], None)
    yield chunk(model, "", "length")


def chunk(model: str, content: str, finish_reason: str | None) -> dict[str, Any]:
    """One item: a `chat.completion.chunk` with one choice."""
    return {
        "id": "chatcmpl-demo",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": model,
        "choices": [{"index": 0, "delta": {"content": content}, "finish_reason": finish_reason}],
    }
