"""Lanes in plain Python: the floor that no bridge can be cheaper than, and Python consumers of pybridge."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import orjson

from pybridge.bench.check import digest
from pybridge.bench.loops import loop_in_thread
from pybridge.bench.protocol import Codec, Latency, Loop, Plan, Result
from pybridge.bench.system import measured
from pybridge.bench.targets import bind, load

Source = Callable[[Any], AsyncIterator[Any]]
Sink = Callable[[Any], object]


def encoder(codec: Codec) -> Callable[[Any], bytes]:
    """The public encoder that stands for what a program without a bridge would use."""
    return msgspec.msgpack.Encoder().encode if codec == "msgpack" else msgspec.json.Encoder().encode


def decoder(codec: Codec) -> Callable[[bytes], Any]:
    """Its other half."""
    return msgspec.msgpack.Decoder().decode if codec == "msgpack" else msgspec.json.Decoder().decode


class PythonLane:
    """`async for` over the handler in one asyncio task per consumer, each item through `sink`.

    Its loop runs in a thread of its own, as that of every lane: malloc treats the main thread's memory differently.
    """

    def __init__(self, loop: Loop) -> None:
        self.loop = loop_in_thread(loop)

    def source(self, plan: Plan) -> Source:
        """What makes the stream of one decoded request."""
        return bind(load(plan.handler), unary=plan.unary)

    def sink(self, plan: Plan) -> Sink:
        """What happens to each item."""
        return encoder(plan.codec)

    def values(self, collected: list[Any], plan: Plan) -> list[Any]:
        """The items of one stream, from what the sink made of it."""
        return [decoder(plan.codec)(frame) for frame in collected]

    def run(self, plan: Plan) -> Result:
        """Puts the plan through and measures it."""
        load_run = LoadRun(plan, self.source(plan), self.sink(plan))
        with measured() as usage:
            seconds = asyncio.run_coroutine_threadsafe(load_run.run(), self.loop).result()
        streams = [self.values(collected, plan) for collected in load_run.collected]
        return Result(
            requests=plan.requests,
            items=load_run.items,
            bytes=0,
            seconds=seconds,
            cpu_seconds=usage.cpu_seconds,
            switches=usage.switches,
            first_item=latency(load_run.first_items),
            gap=latency(load_run.gaps),
            digests=[digest(stream) for stream in streams],
            counts=[len(stream) for stream in streams],
        )


class SseLane(PythonLane):
    """`async for` and one `orjson.dumps` per item, framed as server-sent events: what a Python server does."""

    def sink(self, plan: Plan) -> Sink:  # noqa: ARG002
        """The bytes that would go to the socket."""
        return lambda item: b"data: " + orjson.dumps(item) + b"\n\n"

    def values(self, collected: list[Any], plan: Plan) -> list[Any]:  # noqa: ARG002
        """The events' values."""
        return sse_values(collected)


class PlainLane(PythonLane):
    """`async for` alone: items are counted and dropped."""

    def sink(self, plan: Plan) -> Sink:
        """Nothing, unless the items are to be compared."""
        return encoder(plan.codec) if plan.check else bool


class LoadRun:
    """The requests of one plan, so many at a time."""

    def __init__(self, plan: Plan, source: Source, sink: Sink) -> None:
        self.plan = plan
        self.source = source
        self.sink = sink
        self.items = 0
        self.collected: list[list[Any]] = []
        self.first_items: list[int] = []
        self.gaps: list[int] = []
        self.decode = decoder(plan.codec)
        self.next_request = 0

    async def run(self) -> float:
        """Runs to the last stream's end; returns the seconds it took."""
        receive = self.receive_checked if self.plan.check else self.receive
        if self.plan.latency:
            receive = self.receive_timed
        started = time.perf_counter()
        try:
            async with asyncio.TaskGroup() as consumers:
                for _ in range(min(self.plan.concurrency, self.plan.requests)):
                    consumers.create_task(self.consume(receive))
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        return time.perf_counter() - started

    async def consume(self, receive: Callable[[AsyncIterator[Any]], Any]) -> None:
        """One consumer: takes the next request until there is none."""
        while self.next_request < self.plan.requests:
            body = self.plan.bodies[self.next_request % len(self.plan.bodies)]
            self.next_request += 1
            # A fresh copy, as a server reads each from its socket.
            await receive(self.source(self.decode(bytes(memoryview(body)))))

    async def receive(self, stream: AsyncIterator[Any]) -> None:
        """The measured loop: nothing but the sink and a count."""
        sink, limit, items = self.sink, self.plan.item_limit, 0
        if limit is None:
            async for item in stream:
                sink(item)
                items += 1
        else:
            async for item in stream:
                sink(item)
                items += 1
                if items >= limit:
                    break
        self.items += items

    async def receive_timed(self, stream: AsyncIterator[Any]) -> None:
        """Looks at the clock at every item."""
        clock, items, before = time.perf_counter_ns, 0, time.perf_counter_ns()
        async for item in stream:
            self.sink(item)
            now = clock()
            (self.gaps if items else self.first_items).append(now - before)
            before = now
            items += 1
            if items == self.plan.item_limit:
                break
        self.items += items

    async def receive_checked(self, stream: AsyncIterator[Any]) -> None:
        """Keeps what the sink makes."""
        kept: list[Any] = []
        self.collected.append(kept)
        async for item in stream:
            kept.append(self.sink(item))
            if len(kept) == self.plan.item_limit:
                break
        self.items += len(kept)


def sse_values(chunks: list[Any]) -> list[Any]:
    """The values in a body of server-sent events."""
    events = b"".join(chunks).split(b"\n\n")[:-1]
    return [orjson.loads(event.removeprefix(b"data: ")) for event in events]


def latency(nanos: list[int]) -> Latency | None:
    """The distribution of some times; None of none."""
    if not nanos:
        return None
    ordered = sorted(nanos)

    def at(quantile: float) -> float:
        return ordered[min(len(ordered) - 1, int(quantile * len(ordered)))] / 1e3

    return Latency(len(ordered), at(0.5), at(0.99), ordered[-1] / 1e3)
