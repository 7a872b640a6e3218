"""Handlers that the tests serve over HTTP."""

import asyncio
import ctypes
from collections.abc import AsyncIterator
from typing import Any

from pybridge import Context, PublicError

notes: dict[str, list[str]] = {}


async def chat(request: dict[str, Any], context: Context) -> AsyncIterator[dict[str, Any]]:
    """Does what each word of the prompt says; notes how it ended."""
    said = notes.setdefault(context.id, [])
    said.append("started")
    ending = "finished"
    try:
        for word in request["prompt"].split():
            match word:
                case "raise!":
                    raise ValueError("a private text")
                case "public!":
                    of_its_body = {"Content-Length": "7", "Content-Encoding": "gzip"}
                    headers = {"X-Model": "large", "Retry-After": "30", **of_its_body}
                    raise PublicError("no such model", status=404, code="model_not_found", headers=headers)
                case "wait!":
                    await asyncio.sleep(3600)
                case "metadata!":
                    yield {"id": context.id, "metadata": dict(context.metadata), "trace": context.traceparent}
                case "pause!":
                    await asyncio.sleep(0.05)
                case "hold!":
                    ctypes.PyDLL(None).usleep(900_000)  # without a release of the interpreter
                case "quarter!":
                    yield {"text": "x" * (1 << 18)}
                case "megabyte!":
                    yield {"text": "x" * (1 << 20)}
                case _:
                    yield {"text": word}
    except asyncio.CancelledError:
        ending = f"cancelled: {context.cancel_reason}"
        raise
    except Exception as error:
        ending = type(error).__name__
        raise
    finally:
        said.append(ending)


async def one(request: dict[str, Any], context: Context) -> dict[str, Any]:
    """Does what `chat` does for a prompt of one item."""
    async for item in chat(request, context):
        return item
    return {}


async def lengths(request: bytes) -> AsyncIterator[bytes]:
    """The request, then how long it was."""
    yield request
    yield str(len(request)).encode()


async def turns(count: int) -> AsyncIterator[int]:
    """Numbers, each in a turn of the loop of its own."""
    for number in range(count):
        yield number
        await asyncio.sleep(0)


async def talk(request: dict[str, Any], context: Context) -> AsyncIterator[str | dict[str, Any]]:
    """The deltas of a conversation: the words of its last message, or what `chat` does for them."""
    async for item in chat({"prompt": request["messages"][-1]["content"]}, context):
        yield {"usage": {"total_tokens": 7}} if item["text"] == "usage!" else item["text"]


async def envelopes(request: dict[str, Any], context: Context) -> AsyncIterator[dict[str, Any]]:
    """The same as whole chunks; `number!` is none."""
    async for item in chat({"prompt": request["messages"][-1]["content"]}, context):
        delta = {"role": "assistant", "content": item["text"]}
        chunk = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        choices = [{"index": 0, "delta": delta, "finish_reason": None}]
        yield 7 if item["text"] == "number!" else {**chunk, "choices": choices}  # type: ignore[misc]


async def noted(request: str) -> list[str]:
    """What a call of `chat` noted, the one with this name."""
    return notes.get(request, [])
