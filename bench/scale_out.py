"""Measures streams through Ray Serve, and writes bench/results/scale-out.{json,md}; with another CPython than 3.11
bench/results/scale-out-3.X.{json,md}. It tries out the recipe of docs/scale-out.md before.

make scale-out                            installs Ray into an environment of its own and runs all of this

The engine as ASGI ingress of a deployment, with and without `flush_interval`, against a FastAPI generator in the same
deployment; each in a replica of its own, behind one proxy, runs of all in turn. What counts is the CPU of replica and
proxy for each token.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import handlers
import orjson
import ray

from bench import ray_apps, ray_recipe
from bench.ray_cluster import Cluster
from bench.result_files import row, said, stamp, write

STREAMS = 32
FLUSH_SECONDS = 0.1
ROUNDS_AT_MOST = 8
LEAST_PACE = 0.75
"""On a machine that is busy with something else tokens come late and together, which costs less: another case."""


@dataclass(frozen=True)
class Case:
    """Streams of one handler; how much of what the plain generator costs the engine with an interval may.

    `pace` is the tokens a second that all of them together would have.
    """

    key: str
    title: str
    items: int
    requests: int
    pace: float | None
    at_most: float | None


CASES = (
    Case(
        "paced",
        f"{STREAMS} streams, 50 tokens a second each, 200 tokens",
        200,
        STREAMS,
        STREAMS / handlers.PACE_SECONDS,
        0.35,
    ),
    Case("tight", f"{STREAMS} streams, no await, 2,000 tokens", 2000, 2 * STREAMS, None, None),
)

LANES: dict[str, Callable[[str], Any]] = {
    "plain": ray_apps.plain,
    "pooled": lambda handler: ray_apps.pooled(handler, 0),
    "flushed": lambda handler: ray_apps.pooled(handler, FLUSH_SECONDS),
}


async def run(cluster: Cluster, name: str, case: Case) -> dict[str, float]:
    """One run of a lane; every answer is checked byte by byte."""
    expected = (b"data: " + orjson.dumps(handlers.chunk()) + b"\n\n") * case.items
    pieces = 0

    async def client() -> None:
        nonlocal pieces
        for _ in range(case.requests // STREAMS):
            answer = await cluster.post(f"/{name}/", {"items": case.items})
            if (answer.status, answer.body, answer.whole) != (200, expected, True):
                raise SystemExit(f"{name}: not the answer that was asked for: {answer.head}, {answer.body[:300]!r}")
            pieces += answer.pieces

    before, others_before, started = *cluster.cpu(name), time.monotonic()
    async with asyncio.TaskGroup() as clients:
        for _ in range(STREAMS):
            clients.create_task(client())
    seconds, (after, others) = time.monotonic() - started, cluster.cpu(name)
    tokens = case.requests * case.items
    return {
        "cpu_us": (after - before) / tokens * 1e6,
        "others_us": (others - others_before) / tokens * 1e6,
        "tokens_per_s": tokens / seconds,
        "pieces": pieces / case.requests,
    }


def _is_at_pace(case: Case, found: dict[str, dict[str, float]]) -> bool:
    return case.pace is None or min(run["tokens_per_s"] for run in found.values()) >= LEAST_PACE * case.pace


def measure(cluster: Cluster, case: Case, repeat: int) -> dict[str, Any]:
    """All lanes in turn, so many times and once before; medians, and ratios of runs of one round."""
    names = {lane: f"{case.key}-{lane}" for lane in LANES}
    for lane, name in names.items():
        cluster.run(name, LANES[lane](case.key))
    rounds: list[dict[str, dict[str, float]]] = []
    for _ in range(ROUNDS_AT_MOST * repeat):
        found = {lane: asyncio.run(run(cluster, name, case)) for lane, name in names.items()}
        rounds.append(found)
        if len(kept := [each for each in rounds[1:] if _is_at_pace(case, each)]) == repeat:
            break
    else:
        raise SystemExit(f"{case.title}: the machine is too busy, tokens come late")
    samples = {lane: [found[lane] for found in kept] for lane in LANES}
    for name in names.values():
        cluster.delete(name)
    lanes: dict[str, dict[str, Any]] = {
        lane: {key: statistics.median(run[key] for run in runs) for key in runs[0]} for lane, runs in samples.items()
    }
    ratios = {
        lane: [run["cpu_us"] / plain["cpu_us"] for run, plain in zip(samples[lane], samples["plain"], strict=True)]
        for lane in LANES
    }
    for lane, medians in lanes.items():
        costs = [run["cpu_us"] for run in samples[lane]]
        medians["cpu_us_range"] = [min(costs), max(costs)]
        medians["ratio"] = statistics.median(ratios[lane])
        medians["ratio_range"] = [min(ratios[lane]), max(ratios[lane])]
    return {
        "key": case.key,
        "title": case.title,
        "repeats": repeat,
        "left_out": len(rounds) - 1 - repeat,
        "lanes": lanes,
        "at_most": case.at_most,
        "reached": case.at_most is None or lanes["flushed"]["ratio"] <= case.at_most,
    }


WORDS = {
    "plain": "FastAPI generator",
    "pooled": "`engine.asgi()`",
    "flushed": f"`engine.asgi(flush_interval={FLUSH_SECONDS:g})`",
}

SETTING = """\
CPU of replica and proxy for each token, in microseconds, with the least and the most of {repeats} runs in turn; the
client is another process on the same machine, and every answer is checked byte by byte. Tokens are OpenAI chunks as
server-sent events. *Others* is the rest of Ray: controller, raylet and agents, at rest too. *Pieces* are those in which
one answer came. Rounds with less than {pace:.0%} of the tokens a second of a case's pace are left out: {left_out}.
Trust the ratios, not the absolutes.
"""


def markdown(document: dict[str, Any]) -> str:
    """The results as a page to read."""
    of = document["machine"]
    lines = [
        "# Streams through Ray Serve",
        "",
        f"{of['cores']} cores of {of['cpu']}, {of['system']}, CPython {of['python']}, Ray {document['ray']}.",
        SETTING.format(
            repeats=document["cases"][0]["repeats"],
            pace=LEAST_PACE,
            left_out=sum(case["left_out"] for case in document["cases"]),
        ),
        "| case | ingress | replica and proxy | others | of the generator's | target | reached | tokens/s | pieces |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        *(_row(case, lane) for case in document["cases"] for lane in LANES),
        "",
        ray_recipe.markdown(document["recipe"]),
        f"`{document['command']}`, {document['measured_at']}",
        "",
    ]
    return "\n".join(lines)


def _row(case: dict[str, Any], lane: str) -> str:
    found = case["lanes"][lane]
    low, high = found["ratio_range"]
    judged = case["at_most"] is not None and lane == "flushed"
    return row(
        case["title"],
        WORDS[lane],
        f"{found['cpu_us']:.1f} ({found['cpu_us_range'][0]:.1f} to {found['cpu_us_range'][1]:.1f})",
        f"{found['others_us']:.1f}",
        "1" if lane == "plain" else f"{found['ratio']:.2f} ({low:.2f} to {high:.2f})",
        f"≤ {case['at_most']:g}" if judged else "",
        said(reached=case["reached"]) if judged else "",
        f"{found['tokens_per_s']:,.0f}",
        f"{found['pieces']:,.1f}",
    )


def main() -> int:
    """Tries the recipe, measures, writes, and says whether the target is reached: exit status 1 if not."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale_out", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--repeat", type=int, default=5, help="runs of each lane (5)")
    args = parser.parse_args()
    recipe = ray_recipe.try_out()
    cases = []
    with Cluster() as cluster:
        for case in CASES:
            print(f"{case.title} ...", file=sys.stderr, flush=True)
            cases.append(measure(cluster, case, args.repeat))
    document: dict[str, Any] = {
        **stamp("bench.scale_out"),
        "ray": ray.__version__,
        "recipe": recipe,
        "cases": cases,
    }
    page = markdown(document)
    write("scale-out", document, page)
    print(page)
    return 0 if all(case["reached"] for case in cases) else 1


if __name__ == "__main__":
    sys.exit(main())
