"""Handlers that isolate one cost each. All are plain async generators of the kind that users write."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

PROBE_PERIOD = 0.001
HOLD_SECONDS = 0.05
BLOCKED_SECONDS = 0.05

Items = AsyncIterator[dict[str, Any]]


def item(index: int) -> dict[str, Any]:
    """A small item, made anew each time."""
    return {"index": index, "token": " word", "logprob": -0.25, "done": False}


async def tight(request: dict[str, Any]) -> Items:
    """Never waits."""
    for index in range(request["items"]):
        yield {"index": index, "token": " word", "logprob": -0.25, "done": False}


async def awaiting(request: dict[str, Any]) -> Items:
    """Goes through the event loop before each item."""
    for index in range(request["items"]):
        await asyncio.sleep(0)
        yield {"index": index, "token": " word", "logprob": -0.25, "done": False}


async def bursts(request: dict[str, Any]) -> Items:
    """Eight items per await."""
    for index in range(request["items"]):
        if index % 8 == 0:
            await asyncio.sleep(0)
        yield {"index": index, "token": " word", "logprob": -0.25, "done": False}


async def single(request: dict[str, Any]) -> Items:
    """One item: a unary call."""
    yield {"index": request["items"], "token": " word", "logprob": -0.25, "done": True}


class Probe:
    """A request with `samples` is a 1 kHz probe whose items say when they were yielded; others keep the loop busy.

    The busy streams of a `run` (a number that is new each time) end with the run's probe.
    """

    def __init__(self) -> None:
        self.finished_run = -1

    async def __call__(self, request: dict[str, Any]) -> Items:
        """Yields `{"t": nanoseconds}` or small items."""
        if "samples" not in request:
            index = 0
            while self.finished_run != request["run"]:
                await asyncio.sleep(0)
                yield item(index)
                index += 1
            return
        clock = time.perf_counter
        due, end = clock(), clock() + request["seconds"]
        try:
            for _ in range(request["samples"]):
                due = max(due + PROBE_PERIOD, clock())
                if due > end:
                    break
                await asyncio.sleep(due - clock())
                yield {"t": time.perf_counter_ns()}
        finally:
            self.finished_run = request["run"]


probe = Probe()


async def blocked(request: dict[str, Any]) -> Items:
    """Items say when they were yielded; after each the thread is kept busy, as by a computation outside of Python."""
    end = time.perf_counter() + request["seconds"]
    while time.perf_counter() < end:
        await asyncio.sleep(0)
        yield {"t": time.perf_counter_ns()}
        time.sleep(BLOCKED_SECONDS)  # noqa: ASYNC251


async def memory_text(request: dict[str, Any]) -> Items:
    """Holds the request and a derived copy for as long as a model's first step takes, then answers with the copy."""
    text = "Re: " + request["text"]
    await asyncio.sleep(HOLD_SECONDS)
    yield {"text": text}


async def memory_tree(request: dict[str, Any]) -> Items:
    """Holds a tree of small dicts and a copy of it in the same way, then answers with a summary."""
    rows = [{**row, "seen": True} for row in request["rows"]]
    await asyncio.sleep(HOLD_SECONDS)
    yield {"rows": len(rows), "score": sum(row["score"] for row in rows)}


survivors: list[object] = []


async def memory_text_survivors(request: dict[str, Any]) -> Items:
    """As `memory_text`; one small object of each request lives on, as in a cache or a history."""
    text = "Re: " + request["text"]
    survivors.append({"length": len(text)})
    await asyncio.sleep(HOLD_SECONDS)
    yield {"text": text}


async def memory_tree_survivors(request: dict[str, Any]) -> Items:
    """As `memory_tree`; one small object of each request lives on."""
    rows = [{**row, "seen": True} for row in request["rows"]]
    survivors.append(rows[len(rows) // 2])
    await asyncio.sleep(HOLD_SECONDS)
    yield {"rows": len(rows), "score": sum(row["score"] for row in rows)}
