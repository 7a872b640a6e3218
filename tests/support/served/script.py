"""A handler that does what its request says, and notes how it ends.

A request is `{"do": [step, …]}`. A step is a word, or an object whose keys say what to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Iterator
from typing import Any

from pybridge import Context, InvalidArgument, PublicError

from support.served.notes import note

PARKED_AFTER = 0.2
"""Seconds that a `yield` takes when nobody takes its item."""


async def script(request: dict[str, Any], context: Context) -> AsyncGenerator[Any, None]:
    """Does the steps, one after the other."""
    with noting(context):
        for step in request["do"]:
            match step:
                case "wait":
                    await asyncio.Event().wait()
                case "context":
                    yield described(context)
                case "request":
                    yield {name: value for name, value in request.items() if name != "do"}
                case "unencodable":
                    yield object()
                case {"pause": seconds}:
                    await asyncio.sleep(seconds)
                case {"note": event}:
                    note(context.id, event)
                case {"yield": item}:
                    yield item
                case {"count": number}:
                    for index in range(number):
                        await asyncio.sleep(step.get("each", 0))
                        yield {"n": index}
                case {"flood": size}:
                    while True:
                        with noting_parked(context):
                            yield "x" * size
                        await asyncio.sleep(0)
                case {"raise": text}:
                    raise ValueError(text)
                case {"timeout": text}:
                    raise TimeoutError(text)
                case {"invalid": text}:
                    raise InvalidArgument(text)
                case {"public": arguments}:
                    raise PublicError(**arguments)
                case _:
                    raise AssertionError(f"no such step: {step}")


async def raw_script(request: bytes, context: Context) -> AsyncGenerator[bytes, None]:
    """The same for an engine of the raw codec, whose request is bytes: the items are texts."""
    async with contextlib.aclosing(script(json.loads(bytes(request)), context)) as items:
        async for item in items:
            yield item.encode()


async def unary_script(request: dict[str, Any], context: Context) -> Any:
    """The same for an engine of one value: that is the last item."""
    async with contextlib.aclosing(script(request, context)) as items:
        values = [item async for item in items]
    return values[-1] if values else None


@contextlib.contextmanager
def noting(context: Context) -> Iterator[None]:
    """Notes a handler's begin, and its end with the reason."""
    note(context.id, "begun")
    ending = "finished"
    try:
        yield
    except BaseException as error:
        ending = context.cancel_reason or type(error).__name__
        raise
    finally:
        note(context.id, f"ended: {ending}")


@contextlib.contextmanager
def noting_parked(context: Context) -> Iterator[None]:
    """Notes that nobody takes the item that is yielded within."""
    watch = asyncio.get_running_loop().call_later(PARKED_AFTER, note, context.id, "parked")
    try:
        yield
    finally:
        watch.cancel()


def described(context: Context) -> dict[str, Any]:
    """What a handler is told of its request."""
    return {
        "id": context.id,
        "metadata": dict(context.metadata),
        "traceparent": context.traceparent,
        "tracestate": context.tracestate,
        "remaining": context.remaining(),
    }
