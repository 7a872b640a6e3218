"""The examples that are applications, under a server, asked as their words say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from support.fronts import FRONTS, Server

EXAMPLES = Path(__file__).parents[2] / "examples"

Starter = Callable[[str], Server]


@pytest.fixture
def example(tmp_path: Path) -> Iterator[Starter]:
    """Starts an example by its name."""
    servers = []

    def start(name: str) -> Server:
        servers.append(Server.start(FRONTS["uvicorn-h11-asyncio"], tmp_path, f"{name}:app", EXAMPLES))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


async def test_fastapi_app_streams_events(example: Starter) -> None:
    server = example("fastapi_app")
    async with await server.connect() as connection:
        headers = {"Content-Type": "application/json"}
        await connection.request("POST", "/generate", b'{"prompt": "Hello pooled world"}', headers)
        answer = await connection.answer()
        events = [f'data: {{"token":"{word}"}}\n\n' for word in ("Hello", "pooled", "world")]
        assert (await answer.whole()).decode() == "".join(events)
        await connection.request("POST", "/generate", b'{"prompt": 1}', headers)
        refused = await connection.answer()
        assert refused.status == 422


async def test_openai_app_talks_to_the_client_of_openai(example: Starter) -> None:
    server = example("openai_app")
    async with openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none") as client:
        assert [model.id async for model in await client.models.list()] == ["echo"]
        question: list[Any] = [{"role": "user", "content": "Hello pooled world"}]
        stream = await client.chat.completions.create(
            model="echo",
            messages=question,
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
        said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert (said, chunks[-1].usage.total_tokens) == ("Hello pooled world ", 6)  # type: ignore[union-attr]
        whole = await client.chat.completions.create(model="echo", messages=question)
        assert whole.choices[0].message.content == "Hello pooled world "
        with pytest.raises(openai.BadRequestError, match="there is no message to answer"):
            await client.chat.completions.create(model="echo", messages=[])
    async with server.client() as client_of_http:
        live = await client_of_http.get(f"http://127.0.0.1:{server.port}/health/live")
        metrics = await client_of_http.get(f"http://127.0.0.1:{server.port}/metrics")
    assert json.loads(live.text)["status"] == "ok"
    assert 'pybridge_streams_ended_total{engine="chat",ending="finished",reason=""} 2\n' in metrics.text
