"""Measures what a call costs beside a task of the same coroutine, and writes bench/results/calls.{json,md}; with
another CPython than 3.11 bench/results/calls-3.X.{json,md}, beside the figures of 3.11.

python -m bench.calls

One process, one loop, lanes in turn: `await engine.call(request)` on an attached engine in MessagePack, against
`create_task` of the handler's coroutine with msgspec encoding and decoding request and answer.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import shlex
import statistics
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from bench.figure_report import column
from bench.result_files import judged_beside, write
from pybridge import PooledEngine
from pybridge.bench.system import machine, measured

TOGETHER = 64
ANSWER = {"a": 1}
REQUEST = {"prompt": "Why is the sky blue?", "temperature": 0.5}

Run = Callable[[int], Awaitable[None]]


@dataclass(frozen=True)
class Case:
    """How calls are made, and what they may cost: CPU as a multiple of the task's, and microseconds as a stretch."""

    title: str
    at_most: float
    stretch_us: float
    lanes: dict[str, Run]


async def handler(_request: Any) -> Any:
    """Gives a small answer at once."""
    return {"a": 1}


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


async def _encoded(body: bytes) -> bytes:
    return _encode(await handler(_decode(body)))


def _task() -> asyncio.Task[bytes]:
    return asyncio.create_task(_encoded(_encode(REQUEST)))


async def tasks_in_sequence(count: int) -> None:
    """Tasks, each awaited before the next is made."""
    for _ in range(count):
        _check(_decode(await _task()))


async def tasks_gathered(count: int) -> None:
    """Tasks, so many at a time."""
    for _ in range(count // TOGETHER):
        for answer in await asyncio.gather(*(_task() for _ in range(TOGETHER))):
            _check(_decode(answer))


class Calls:
    """The same with calls of an engine."""

    def __init__(self, engine: PooledEngine) -> None:
        self.call = engine.call

    async def in_sequence(self, count: int) -> None:
        """Calls, each awaited before the next is made."""
        for _ in range(count):
            _check(await self.call(REQUEST))

    async def gathered(self, count: int) -> None:
        """Calls, so many at a time."""
        for _ in range(count // TOGETHER):
            for answer in await asyncio.gather(*(self.call(REQUEST) for _ in range(TOGETHER))):
                _check(answer)


def cases(engine: PooledEngine) -> dict[str, Case]:
    """The cases, each with a lane of ours and the one it is measured against."""
    calls = Calls(engine)
    return {
        "sequence": Case("one after the other", 1.2, 9, {"call": calls.in_sequence, "task": tasks_in_sequence}),
        "gathered": Case(f"{TOGETHER} gathered", 1.5, 9, {"call": calls.gathered, "task": tasks_gathered}),
    }


def _check(answer: Any) -> None:
    if answer != ANSWER:
        raise SystemExit(f"a call gave {answer!r}")


async def _cpu_us(run: Run, count: int) -> float:
    gc.collect()
    with measured() as usage:
        await run(count)
    return usage.cpu_seconds / count * 1e6


async def measure(count: int, repeat: int) -> list[dict[str, Any]]:
    """Every case: both lanes once in each round."""
    found = []
    async with PooledEngine(handler, unary=True, worker="attached") as engine:
        for key, case in cases(engine).items():
            samples: dict[str, list[float]] = {lane: [] for lane in case.lanes}
            for run in case.lanes.values():
                await run(count // 10)
            for _ in range(repeat):
                for lane, run in case.lanes.items():
                    samples[lane].append(await _cpu_us(run, count))
            medians = {lane: statistics.median(runs) for lane, runs in samples.items()}
            ratio = medians["call"] / medians["task"]
            found.append(
                {
                    "key": key,
                    "title": case.title,
                    "cpu_us": medians,
                    "spreads": {lane: (max(runs) - min(runs)) / medians[lane] for lane, runs in samples.items()},
                    "ratio": ratio,
                    "at_most": case.at_most,
                    "reached": ratio <= case.at_most,
                    "stretch_us": case.stretch_us,
                }
            )
    return found


def markdown(document: dict[str, Any], beside: dict[str, Any] | None = None) -> str:
    """The results as a page to read, with the ratios of another run `beside` them."""
    of = document["machine"]
    setting = (
        f"{of['cores']} cores of {of['cpu']}, {of['system']}, CPython {of['python']}. Medians of {document['repeats']} "
        f"interleaved runs of {document['calls']:,} calls on asyncio's loop, with their spread, (max - min) / median. "
        "Trust the ratios, not the absolutes."
    )
    lanes = (
        "*call* is `await engine.call(request)` of a unary handler on the same loop, in MessagePack. *task* is "
        "`create_task` of the handler's coroutine, with msgspec encoding and decoding request and answer."
    )
    lines = [
        "# What a call costs",
        "",
        setting,
        "",
        lanes,
        "",
        "| calls | call, CPU us | task, CPU us | call / task | target | reached | stretch |" + column(beside),
        "| --- | --- | --- | --- | --- | --- | --- |" + " --- |" * bool(beside),
    ]
    others = {case["title"]: f"{case['ratio']:.2f}" for case in beside["cases"]} if beside else {}
    for case in document["cases"]:
        cells = [f"{case['cpu_us'][lane]:.2f} ±{case['spreads'][lane] * 50:.0f} %" for lane in ("call", "task")]
        lines.append(
            f"| {case['title']} | {' | '.join(cells)} | {case['ratio']:.2f} | ≤ {case['at_most']} "
            f"| {'yes' if case['reached'] else '**no**'} | {case['stretch_us']} us |"
            + (f" {others.get(case['title'], '')} |" if beside else "")
        )
    return "\n".join([*lines, "", f"`{document['command']}`, {document['measured_at']}"]) + "\n"


def main() -> int:
    """Measures, writes, and says which figures are not reached: exit status 1 if any."""
    parser = argparse.ArgumentParser(prog="python -m bench.calls", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--repeat", type=int, default=5, help="runs of each lane (5)")
    parser.add_argument("--calls", type=int, default=20_000, help="calls of a run (20,000)")
    args = parser.parse_args()
    document: dict[str, Any] = {
        "schema": 1,
        "machine": machine(),
        "command": shlex.join(["python", "-m", "bench.calls", *sys.argv[1:]]),
        "measured_at": datetime.now(UTC).isoformat(timespec="minutes"),
        "repeats": args.repeat,
        "calls": args.calls,
        "cases": asyncio.run(measure(args.calls, args.repeat)),
    }
    page = markdown(document, judged_beside("calls"))
    write("calls", document, page)
    print(page)
    return 0 if all(case["reached"] for case in document["cases"]) else 1


if __name__ == "__main__":
    sys.exit(main())
