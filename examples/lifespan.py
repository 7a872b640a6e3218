"""State that handlers share: opened once per worker by the lifespan, and found in the `Context` of every call."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from pybridge import Context, PooledEngine, current_context


class Model:
    """Stands for whatever is dear to open and bound to its event loop."""

    async def tokens(self, prompt: str) -> AsyncIterator[str]:
        for word in prompt.split():
            await asyncio.sleep(0)
            yield word.upper()


@contextlib.asynccontextmanager
async def lifespan() -> AsyncIterator[Model]:
    print("model opened")
    try:
        yield Model()
    finally:
        print("model closed")


async def chat(request: dict[str, Any], context: Context) -> AsyncIterator[dict[str, Any]]:
    """`context` is given to handlers that have a parameter of that name."""
    model: Model = context.state
    async for token in model.tokens(request["prompt"]):
        yield {"tenant": tenant(), "token": token}


def tenant() -> str:
    """Anywhere below the handler, the same context without passing it on."""
    return current_context().metadata["tenant"]


async def main() -> None:
    async with PooledEngine(chat, lifespan=lifespan) as engine:
        for name in ("blue", "green"):
            async for item in engine({"prompt": f"hello {name}"}, metadata={"tenant": name}, timeout=5):
                print(item)


asyncio.run(main())
