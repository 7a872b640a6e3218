"""docs/scale-out.md is true as far as that shows without Ray; `make scale-out` runs the page on one."""

from __future__ import annotations

import asyncio
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "scale-out.md").read_text()
MODULES = dict(re.findall(r"```python\n# (\w+)\.py\n(.*?)```", PAGE, re.DOTALL))
RESULTS = ROOT / "bench" / "results" / "scale-out.json"


async def ask(app: Any, path: str, *headers: tuple[bytes, bytes], body: Any) -> tuple[int, bytes]:
    """The status and body that an ASGI application answers with."""
    requests = [{"type": "http.request", "body": json.dumps(body).encode()}]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if not requests:
            await asyncio.Event().wait()
        return requests.pop()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "headers": list(headers)}
    await app(scope, receive, send)
    return sent[0]["status"], b"".join(bytes(message["body"]) for message in sent[1:])


@pytest.mark.parametrize("module", MODULES)
def test_each_module_compiles(module: str) -> None:
    compile(MODULES[module], f"{module}.py", "exec")


def test_the_page_has_a_module_without_ray_and_two_with_it() -> None:
    assert set(MODULES) == set(re.findall(r"```python\n# (\w+)", PAGE)) == {"chat", "service", "model"}
    assert "ray" not in MODULES["chat"]


@pytest.fixture
def chat() -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "chat"}
    exec(MODULES["chat"], names)
    return names


async def test_what_a_replica_builds_streams_chunks_of_openai(chat: dict[str, Any]) -> None:
    body = {"model": "echo", "stream": True, "messages": [{"role": "user", "content": "Hello pooled world"}]}
    status, answer = await ask(chat["build"](), "/v1/chat/completions", body=body)
    assert status == 200
    assert b"pooled " in answer
    assert answer.endswith(b"data: [DONE]\n\n")


async def test_a_request_gets_the_time_of_the_deployment_unless_it_names_its_own(chat: dict[str, Any]) -> None:
    seen: list[dict[bytes, bytes]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(dict(scope["headers"]))
        await send({"type": "http.response.start", "status": 204, "headers": []})

    limited = chat["with_limit"](app, seconds=300)
    await ask(limited, "/", body=None)
    await ask(limited, "/", (b"x-request-timeout", b"5"), body=None)
    assert [headers[b"x-request-timeout"] for headers in seen] == [b"300", b"5"]


def test_a_replica_that_drains_has_longer_than_its_longest_stream() -> None:
    limits = [int(value) for value in re.findall(r"(?:max_timeout|seconds)=(\d+)", MODULES["chat"])]
    grace = int(re.findall(r"graceful_shutdown_timeout_s=(\d+)", MODULES["service"])[0])
    assert len(set(limits)) == 1
    assert grace > limits[0]


def test_ray_is_the_version_that_the_page_speaks_of_and_has_an_environment_of_its_own() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    (ray,) = (entry for entry in groups["scale-out"] if entry.startswith("ray"))
    version = re.findall(r"what is said here of Ray holds for (\d+\.\d+)", PAGE)[0]
    assert f">={version}," in ray
    assert not [entry for name in ("build", "lint", "test", "dev") for entry in groups[name] if "ray[" in str(entry)]


def test_figures_of_the_page_are_the_measured_ones() -> None:
    cases = {case["key"]: case["lanes"] for case in json.loads(RESULTS.read_text())["cases"]}
    words = " ".join(PAGE.split())
    for lane in ("pooled", "flushed"):
        assert f"{cases['paced'][lane]['ratio']:.2f}" in words
        assert f"{cases['tight'][lane]['ratio']:.2f}" in words
    for lane in ("plain", "flushed"):
        assert f"{cases['paced'][lane]['cpu_us']:.0f} µs" in words
