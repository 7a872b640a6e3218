"""A server that clients of OpenAI can talk to: chat, completions, models, health and metrics, from one handler.

`pip install uvicorn openai`, then in this folder `uvicorn openai_app:app`, and
`OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="none").chat.completions.create(model="echo", …)`
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from pybridge import InvalidArgument, PooledEngine


async def chat(request: dict[str, Any]) -> AsyncIterator[str | dict[str, Any]]:
    """Repeats the last message word by word, as a model would; the envelope of each chunk is the server's work."""
    if not request.get("messages"):
        raise InvalidArgument("there is no message to answer")
    words = request["messages"][-1]["content"].split()
    for word in words:
        await asyncio.sleep(0.01)
        yield f"{word} "
    tokens = {"prompt_tokens": len(words), "completion_tokens": len(words), "total_tokens": 2 * len(words)}
    yield {"content": "", "usage": tokens}


app = PooledEngine(chat).asgi(protocol="openai", models=["echo"], health=True, metrics=True)
