"""Tries out what docs/scale-out.md says on a Ray of this machine, and reports what is measured of it."""

from __future__ import annotations

import asyncio
import functools
import importlib
import json
import random
import re
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from ray import serve

from bench import ray_apps
from bench.ray_cluster import ROOT, Answer, Cluster
from pybridge import PooledEngine

PAGE = ROOT / "docs" / "scale-out.md"
LEAVING = 200
"""Clients that go away at random points of their answers."""

PATIENCE_SECONDS = 30.0


def try_out() -> dict[str, Any]:
    """Runs the page's modules and holds the page to what it says; ends the program where that is not so."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        page = PAGE.read_text(encoding="utf-8")
        for module, code in re.findall(r"```python\n# (\w+)\.py\n(.*?)```", page, re.DOTALL):
            (folder / f"{module}.py").write_text(code, encoding="utf-8")
        sys.path.insert(0, name)
        with Cluster(folder) as cluster:
            _says("an engine cannot be pickled", _cannot_be_pickled())
            asyncio.run(_chat(cluster))
            asyncio.run(_model(cluster))
            endings = folder / "endings"
            cluster.run("told", ray_apps.observed(endings, _as_it_is))
            asyncio.run(_times(cluster, endings))
            asyncio.run(_slow_client(cluster, endings))
            left = asyncio.run(_leave(cluster, endings))
            cluster.delete("told")
            limited = functools.partial(importlib.import_module("chat").with_limit, seconds=3)
            asyncio.run(_drain(cluster, folder / "unlimited", _as_it_is))
            asyncio.run(_drain(cluster, folder / "limited", limited))
            asyncio.run(_scale(cluster, folder / "scaled"))
    return left


def _says(what: str, holds: object) -> None:
    print(f"{what}: {'yes' if holds else 'NO'}", file=sys.stderr, flush=True)
    if not holds:
        raise SystemExit(1)


def _as_it_is(app: Any) -> Any:
    return app


def _cannot_be_pickled() -> bool:
    async def handler(_: object) -> Any:
        yield 1

    try:
        serve.ingress(PooledEngine(handler).asgi())()
    except TypeError as error:
        return "cannot pickle" in str(error)
    return False


async def _until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds() and time.monotonic() < deadline:  # noqa: ASYNC110 - another process makes it hold
        await asyncio.sleep(0.02)
    _says(what, holds())


def _read(endings: Path) -> dict[str, dict[str, Any]]:
    """What the handlers wrote, by the request's name."""
    if not endings.exists():
        return {}
    return {line["id"]: line for line in map(json.loads, endings.read_text(encoding="utf-8").splitlines())}


def _has_begun(endings: Path, name: str) -> bool:
    return f'"{name}"' in endings.read_text(encoding="utf-8")


def _has_ended(endings: Path, name: str) -> bool:
    return bool(_read(endings).get(name, {"reason": "runs"})["reason"] != "runs")


async def _chat(cluster: Cluster) -> None:
    await asyncio.to_thread(cluster.run, "chat", importlib.import_module("service").app)
    body = {"model": "echo", "messages": [{"role": "user", "content": "Hello pooled world"}]}
    streamed = await cluster.post("/chat/v1/chat/completions", body | {"stream": True})
    merged = await cluster.post("/chat/v1/chat/completions", body, accept="application/json")
    message = json.loads(merged.body)["choices"][0]["message"]
    _says("the recipe streams chunks of OpenAI's", streamed.body.endswith(b"data: [DONE]\n\n") and streamed.whole)
    _says("and merges them", message["content"] == "Hello pooled world ")
    names = re.findall(r"(?m)^x-request-id: (\S+)", streamed.head)
    _says("the request's name is in the answer twice", len(names) == 2 and len(set(names)) == 1)
    await asyncio.to_thread(cluster.delete, "chat")


async def _model(cluster: Cluster) -> None:
    await asyncio.to_thread(cluster.run, "model", importlib.import_module("model").app)
    answer = await cluster.post("/model/generate", {"names": ["Ada"]}, accept="application/json")
    _says("a class with a model and arguments answers", answer.body == b'[{"text":"Hello, Ada"}]')
    await asyncio.to_thread(cluster.delete, "model")


async def _times(cluster: Cluster, endings: Path) -> None:
    silent, slow = {"items": 1, "pause": 60}, {"items": 600, "pause": 0.1}

    async def ask(name: str, body: Any, **headers: str) -> tuple[Answer, str]:
        answer = await cluster.post("/told/", body, x_request_id=name, **headers)
        await _until(lambda: _has_ended(endings, name), f"{name}: the handler's finally ran")
        return answer, _read(endings)[name]["reason"]

    answer, reason = await ask("engine-before", silent, x_request_timeout="0.5")
    _says("504, deadline", answer.status == 504 and b"engine-before" in answer.body and reason == "deadline")
    answer, reason = await ask("engine-after", slow, x_request_timeout="0.5")
    _says("an event, deadline", b"event: error" in answer.body and not answer.whole and reason == "deadline")
    answer, reason = await ask("serve-before", silent, x_request_timeout_seconds="0.5")
    _says("408, caller", answer.status == 408 and b"timed out" in answer.body and reason == "caller")
    answer, reason = await ask("serve-after", slow, x_request_timeout_seconds="0.5")
    _says("broken off, caller", b"error" not in answer.body and not answer.whole and reason == "caller")


async def _slow_client(cluster: Cluster, endings: Path) -> None:
    body = {"items": 2000, "pause": 0, "chars": 50_000}
    _, writer = await cluster.send("/told/", body, x_request_id="slow")
    await _until(lambda: _has_ended(endings, "slow"), "a handler ends though nobody reads its 100 MB")
    _says("and was not cancelled", _read(endings)["slow"]["reason"] is None)
    writer.transport.abort()


async def _leave(cluster: Cluster, endings: Path) -> dict[str, Any]:
    """Clients that go away once their handlers run, sixteen at a time; when and with which reason these ended."""
    chosen, together = random.Random(7), asyncio.Semaphore(16)
    gone: dict[str, float] = {}

    async def client(name: str, accept: str, pause: float, stay: float) -> None:
        async with together:
            _, writer = await cluster.send("/told/", {"items": 6000, "pause": pause}, x_request_id=name, accept=accept)
            while not _has_begun(endings, name):  # noqa: ASYNC110 - another process says so
                await asyncio.sleep(0.02)
            await asyncio.sleep(stay)
            gone[name] = time.time()
            writer.transport.abort()

    async with asyncio.TaskGroup() as clients:
        for number in range(LEAVING):
            accept = "application/json" if number % 4 == 0 else "text/event-stream"
            pause = 60 if number % 4 == 1 else 0.02
            clients.create_task(client(f"left-{number}", accept, pause, chosen.uniform(0, 0.4)))
    await _until(lambda: all(_has_ended(endings, name) for name in gone), "their handlers have run their finally")
    found = {name: line for name, line in _read(endings).items() if name in gone}
    reasons = Counter(line["reason"] for line in found.values())
    _says("with the reason client or caller", reasons.keys() <= {"client", "caller"})
    delays = sorted(1000 * (line["at"] - gone[name]) for name, line in found.items())
    return {
        "left": LEAVING,
        "reasons": dict(reasons.most_common()),
        "finally_ms": {"median": statistics.median(delays), "p99": delays[99 * len(delays) // 100], "max": delays[-1]},
    }


async def _drain(cluster: Cluster, endings: Path, wrap: Callable[[Any], Any]) -> None:
    """Stops an application with two streams: one that ends while it drains, and one that would not."""
    settings = {"graceful_shutdown_timeout_s": 6, "graceful_shutdown_wait_loop_s": 0.5}
    name = endings.name
    await asyncio.to_thread(cluster.run, name, ray_apps.observed(endings, wrap, **settings))
    short = asyncio.ensure_future(cluster.post(f"/{name}/", {"items": 20, "pause": 0.1}, x_request_id="short"))
    long = asyncio.ensure_future(cluster.post(f"/{name}/", {"items": 600, "pause": 0.1}, x_request_id="long"))
    await asyncio.sleep(1)
    await asyncio.to_thread(cluster.delete, name)
    ended, cut = await short, await long
    _says(f"{name}: a stream that ends while its replica drains is whole", ended.whole)
    _says(f"{name}: another is broken off", not cut.whole)
    told = _read(endings)
    if wrap is _as_it_is:
        unheard = told["long"]["reason"] == "runs" and "lifespan.shutdown" not in told
        _says("its finally has not run, and the application has not been told", unheard)
    else:
        _says("its client is told why", b"event: error" in cut.body and b'"deadline"' in cut.body)
        _says("its finally has run", told["long"]["reason"] == "deadline")
        _says("then the application is told", told["lifespan.shutdown"]["at"] > told["long"]["at"])


async def _scale(cluster: Cluster, endings: Path) -> None:
    scaling = {
        "min_replicas": 1,
        "max_replicas": 2,
        "target_ongoing_requests": 4,
        "upscale_delay_s": 0.5,
        "look_back_period_s": 1,
    }
    name = endings.name
    await asyncio.to_thread(cluster.run, name, ray_apps.observed(endings, _as_it_is, autoscaling_config=scaling))
    streams: list[Awaitable[Answer]] = [
        asyncio.ensure_future(cluster.post(f"/{name}/", {"items": 300, "pause": 0.1})) for _ in range(12)
    ]
    await _until(lambda: cluster.replicas(name) == 2, "open streams add a replica")
    _says("and all of them end whole", all(answer.whole for answer in await asyncio.gather(*streams)))
    await asyncio.to_thread(cluster.delete, name)


CLIENTS = """\
## Clients that go away

{left} clients left at random points of events, buffered answers and silent handlers, through the proxy. Reasons:
{told}. The handler's `finally` ran {median:.0f} ms later in the median, {p99:.0f} at the 99th percentile, {max:.0f}
at most.
"""


def markdown(found: dict[str, Any]) -> str:
    """The part of the page about clients that left."""
    told = ", ".join(f"{count} `{reason}`" for reason, count in found["reasons"].items())
    return CLIENTS.format(left=found["left"], told=told, **found["finally_ms"])
