"""Engines that call engines: one handler's stream feeds another's, and a cancel reaches all of them."""

import asyncio
from collections.abc import AsyncIterator

from pybridge import Context, PooledEngine, current_context


async def tokens(request: str) -> AsyncIterator[str]:
    """The inner handler. It never ends by itself."""
    try:
        while True:
            for word in request.split():
                await asyncio.sleep(0)
                yield word
    finally:
        print("inner handler ended:", current_context().cancel_reason)


inner = PooledEngine(tokens, name="tokens")


async def numbered(request: str, context: Context) -> AsyncIterator[str]:
    """The outer handler. The inner call inherits its deadline and its trace, and counts as part of its request."""
    number = 0
    async for token in inner(request):
        number += 1
        yield f"{number} {token} ({context.id})"


async def main() -> None:
    async with PooledEngine(numbered, name="numbered") as outer, inner:
        async with outer("ping pong", request_id="request-7") as stream:
            async for line in stream:
                print(line)
                if line.startswith("3 "):
                    break
        print("both ended:", outer.stats().streams.live, inner.stats().streams.live)


asyncio.run(main())
