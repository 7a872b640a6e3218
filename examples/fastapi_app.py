"""A FastAPI app: one route that streams server-sent events.

`pip install fastapi uvicorn`, then in this folder `uvicorn fastapi_app:app`, and
`curl -N http://127.0.0.1:8000/generate --json '{"prompt": "Hello pooled world"}'`
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI
from fastapi.responses import Response
from pydantic import BaseModel

from pybridge import PooledEngine


class Prompt(BaseModel):
    """What a client sends."""

    prompt: str


async def chat(request: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    """One token for each word, a little apart, as a model would."""
    for word in request["prompt"].split():
        await asyncio.sleep(0.01)
        yield {"token": word}


engine = PooledEngine(chat)  # starts at its first call, ends with the server's event loop
app = FastAPI()


@app.post("/generate")
async def generate(prompt: Prompt) -> Response:
    """The handler runs on the server's own loop; a client that goes ends it."""
    return engine.response(prompt.model_dump())
