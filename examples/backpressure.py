"""A slow consumer makes the handler wait; a cancel, a timeout or a full engine ends or refuses a call by name."""

import asyncio
from collections.abc import AsyncIterator

from pybridge import FlowConfig, Overloaded, PooledEngine, StreamCancelled

made = 0


async def numbers(request: int) -> AsyncIterator[int]:
    """Makes numbers as fast as it is let."""
    global made
    for made in range(request):
        yield made


async def forever(_request: None) -> AsyncIterator[str]:
    """Waits for what never comes."""
    yield "started"
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        print("handler: cancelled at its await")
        raise  # cleanup belongs into `finally`; a cancel is passed on


async def main() -> None:
    flow = FlowConfig(high_water_items=16, batch_items=4, max_concurrency=1, max_queue=0)
    async with PooledEngine(numbers, flow=flow) as engine, engine(10_000) as stream:
        await anext(stream)
        await asyncio.sleep(0.05)  # the consumer is busy elsewhere
        print("ahead of its consumer by at most 32 items:", made <= 32)
        print("and nothing is lost:", sum([1 async for _ in stream]) == 9_999)

    async with PooledEngine(forever, flow=flow) as engine:
        try:
            async for item in engine(None, timeout=0.05):
                print(item)
        except StreamCancelled as error:
            print("consumer:", error.reason)
        async with engine(None) as stream:
            print(await anext(stream))
            try:
                await engine.call(None)
            except Overloaded as error:
                print("refused at once, worth a retry:", error.retryable)


asyncio.run(main())
