"""OpenAI's routes, not streamed: chunks and deltas merged into one answer, models, and errors in OpenAI's shape."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from support.fronts import Server

HEAD = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def chunk(*choices: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A step that yields a chunk with these choices."""
    return {"yield": {**HEAD, "choices": list(choices), **more}}


def delta(index: int = 0, finish_reason: str | None = None, logprobs: Any = None, **fields: Any) -> dict[str, Any]:
    """A choice of a chunk."""
    return {"index": index, "delta": fields, "finish_reason": finish_reason, "logprobs": logprobs}


async def answer(server: Server, do: list[Any], service: str = "openai", **options: Any) -> Any:
    """The answer of a chat, as the client of OpenAI reads it."""
    async with server.openai(service) as client:
        return await client.chat.completions.create(model="m", messages=[], extra_body={"do": do}, **options)


async def ask(server: Server, body: bytes | dict[str, Any], path: str = "/v1/chat/completions", **more: Any) -> Any:
    """A response to a body as it is, from the service with models."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with server.client() as client:
        url = server.url(more.pop("service", "models"), path)
        return await client.post(url, content=content, headers={"Content-Type": "application/json", **more})


@pytest.mark.guarantee("W-31")
async def test_chunks_are_merged_into_one_answer(server: Server) -> None:
    merged = await answer(
        server,
        [
            chunk(delta(role="assistant", content="")),
            chunk(delta(content="Hello"), system_fingerprint="fp"),
            chunk(delta(content=" world", reasoning_content="be ")),
            chunk(delta(reasoning_content="brief")),
            chunk(delta(finish_reason="stop")),
            chunk(usage=USAGE),
        ],
    )
    assert (merged.id, merged.object, merged.created, merged.model) == ("c-1", "chat.completion", 1, "m")
    (choice,) = merged.choices
    assert (choice.message.role, choice.message.content, choice.finish_reason) == ("assistant", "Hello world", "stop")
    assert choice.message.reasoning_content == "be brief"
    assert (merged.usage.total_tokens, merged.system_fingerprint) == (5, "fp")


async def test_choices_are_merged_by_their_index(one_server: Server) -> None:
    merged = await answer(
        one_server,
        [
            chunk(delta(1, content="b"), delta(0, content="a")),
            chunk(delta(0, content="a", finish_reason="stop")),
            chunk(delta(1, content="b", finish_reason="length")),
        ],
    )
    said = [(each.index, each.message.content, each.finish_reason) for each in merged.choices]
    assert said == [(0, "aa", "stop"), (1, "bb", "length")]


async def test_tool_calls_are_merged_by_their_index(one_server: Server) -> None:
    def call(index: int, arguments: str, **named: Any) -> dict[str, Any]:
        name = {"name": named.pop("name")} if "name" in named else {}
        return {"index": index, **named, "function": {**name, "arguments": arguments}}

    merged = await answer(
        one_server,
        [
            chunk(delta(role="assistant", tool_calls=[call(0, '{"q"', id="call_a", type="function", name="look")])),
            chunk(delta(tool_calls=[call(1, "[", id="call_b", type="function", name="add")])),
            chunk(delta(tool_calls=[call(0, ':"x"}'), call(1, "1]")])),
            chunk(delta(finish_reason="tool_calls")),
        ],
    )
    (choice,) = merged.choices
    calls = [(each.id, each.type, each.function.name, each.function.arguments) for each in choice.message.tool_calls]
    assert calls == [("call_a", "function", "look", '{"q":"x"}'), ("call_b", "function", "add", "[1]")]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None


async def test_a_new_id_on_a_used_index_is_an_error(one_server: Server) -> None:
    calls = [[{"index": 0, "id": name, "function": {"name": "f", "arguments": ""}}] for name in ("a", "b")]
    body = {"model": "m", "do": [chunk(delta(tool_calls=call)) for call in calls]}
    response = await ask(one_server, body, service="openai")
    assert (response.status_code, response.headers["x-should-retry"]) == (500, "false")


async def test_logprobs_are_appended(one_server: Server) -> None:
    def logprobs(token: str) -> dict[str, Any]:
        return {"content": [{"token": token, "logprob": -1.0, "bytes": None, "top_logprobs": []}], "refusal": None}

    merged = await answer(
        one_server,
        [chunk(delta(content=token, logprobs=logprobs(token))) for token in "ab"]
        + [chunk(delta(finish_reason="stop"))],
    )
    assert [each.token for each in merged.choices[0].logprobs.content] == ["a", "b"]


@pytest.mark.guarantee("W-32")
async def test_deltas_are_merged_into_one_answer(one_server: Server) -> None:
    for do in (
        [{"yield": "Hello"}, {"yield": " world"}],
        [{"yield": {"role": "assistant", "content": "Hello"}}, {"yield": {"content": " world"}}],
    ):
        merged = await answer(one_server, [*do, {"yield": {"content": "", "usage": USAGE}}])
        (choice,) = merged.choices
        assert (merged.object, merged.model, merged.usage.total_tokens) == ("chat.completion", "m", 5)
        assert (choice.message.role, choice.message.content) == ("assistant", "Hello world")
        assert choice.finish_reason == "stop"


@pytest.mark.parametrize("service", ["openai", "openai_unary"])
async def test_an_only_item_that_is_an_answer_is_the_answer(one_server: Server, service: str) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop", "x": [1]}
    whole = {"id": "w", "object": "chat.completion", "created": 7, "model": "m", "choices": [choice], "y": {"z": None}}
    response = await ask(one_server, {"model": "m", "do": [{"yield": whole}]}, service=service)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert response.json() == whole


@pytest.mark.guarantee("W-31")
async def test_completions_are_merged(one_server: Server) -> None:
    head = {"id": "c-1", "object": "text_completion", "created": 1, "model": "m"}
    chunks = [
        {"yield": {**head, "choices": [{"index": 0, "text": text, "finish_reason": reason, "logprobs": None}]}}
        for text, reason in (("Hello", None), (" world", "stop"))
    ]
    async with one_server.openai() as client:
        for do in (chunks, [{"yield": "Hello"}, {"yield": " world"}]):
            merged = await client.completions.create(model="m", prompt="x", extra_body={"do": do})
            assert (merged.object, merged.choices[0].text) == ("text_completion", "Hello world")
            assert merged.choices[0].finish_reason == "stop"


async def test_the_handler_gets_the_whole_body(one_server: Server) -> None:
    body: dict[str, Any] = {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "temperature": 0.5,
        "vendor_x": {"a": [1]},
    }
    body["choices"] = [{"index": 0, "message": {"role": "assistant", "content": "what makes it an answer, too"}}]
    response = await ask(one_server, {**body, "do": ["request"]}, service="openai_unary")
    assert response.json() == body


async def test_a_late_failure_of_a_merged_answer_is_its_status(server: Server) -> None:
    response = await ask(
        server, {"model": "m", "do": [{"yield": "Hello"}, {"raise": "a private text"}]}, service="openai"
    )
    assert (response.status_code, response.headers["x-should-retry"]) == (500, "false")
    assert openai_error(response)["type"] == "server_error"
    assert "private" not in response.text


@pytest.mark.guarantee("W-36")
@pytest.mark.parametrize("stream", [False, True])
async def test_an_object_that_is_no_delta_and_no_chunk_is_the_handlers_failure(
    one_server: Server, stream: bool
) -> None:
    do = [{"yield": {"token": "Hello"}}, {"yield": {"token": " world"}}]
    response = await ask(one_server, {"model": "m", "stream": stream, "do": do}, service="openai")
    assert (response.status_code, response.headers["x-should-retry"]) == (500, "false")
    assert openai_error(response)["code"] == "handler_error"
    assert "Hello" not in response.text


async def test_models_are_listed_and_looked_up(server: Server) -> None:
    async with server.openai("models") as client:
        assert [model.id async for model in await client.models.list()] == ["small", "org/large"]
        for name in ("small", "org/large"):
            model = await client.models.retrieve(name)
            assert (model.id, model.object) == (name, "model")
        with pytest.raises(openai.NotFoundError) as missing:
            await client.models.retrieve("huge")
        assert missing.value.code == "model_not_found"
    async with server.openai() as client:
        assert [model.id async for model in await client.models.list()] == []


async def test_a_model_that_is_not_served_is_not_found(server: Server) -> None:
    async with server.openai("models") as client:
        with pytest.raises(openai.NotFoundError) as missing:
            await client.chat.completions.create(model="huge", messages=[])
        assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
        assert missing.value.type == "invalid_request_error"
        served = await client.completions.create(model="org/large", prompt="", extra_body={"do": [{"yield": "x"}]})
        assert served.choices[0].text == "x"


@pytest.mark.guarantee("W-35")
@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", None),
        (b"[]", None),
        (b'"text"', None),
        ({"messages": []}, "model"),
        ({"model": 7}, "model"),
        ({"model": "small", "stream": "yes"}, "stream"),
        ({"model": "small", "stream_options": {"include_usage": True}}, "stream_options"),
        ({"model": "small", "stream": True, "stream_options": 1}, "stream_options"),
    ],
)
async def test_a_body_that_does_not_fit_is_refused_by_name(one_server: Server, body: Any, param: str | None) -> None:
    response = await ask(one_server, body)
    assert response.status_code == 400
    error = openai_error(response)
    assert (error["type"], error["param"]) == ("invalid_request_error", param)


async def test_what_is_null_is_as_if_it_were_not_there(one_server: Server) -> None:
    """Clients fill in every field of the interface."""
    body = {"model": "small", "stream": None, "stream_options": None, "do": [{"yield": "Hello"}]}
    response = await ask(one_server, body)
    assert response.json()["choices"][0]["message"]["content"] == "Hello"


@pytest.mark.parametrize(
    ("public", "error", "times"),
    [
        ({"message": "slow down", "status": 429, "code": "quota"}, openai.RateLimitError, 1),
        (
            {"message": "wait", "status": 429, "retryable": True, "headers": {"Retry-After-Ms": "10"}},
            openai.RateLimitError,
            3,
        ),
        ({"message": "who are you", "status": 401}, openai.AuthenticationError, 1),
        ({"message": "not you", "status": 403}, openai.PermissionDeniedError, 1),
        ({"message": "no such file", "status": 404}, openai.NotFoundError, 1),
        ({"message": "odd", "status": 422}, openai.UnprocessableEntityError, 1),
        ({"message": "later", "status": 503}, openai.InternalServerError, 1),
    ],
)
async def test_the_client_raises_what_the_handler_says_and_tries_again_only_if_told(
    one_server: Server, public: dict[str, Any], error: type[openai.APIStatusError], times: int
) -> None:
    await raises_after(one_server, {"public": public}, error, times)


@pytest.mark.guarantee("W-25")
async def test_the_client_does_not_repeat_what_failed_in_the_handler(server: Server) -> None:
    await raises_after(server, {"raise": "x"}, openai.InternalServerError, 1)


async def raises_after(server: Server, step: Any, error: type[openai.APIStatusError], times: int) -> None:
    for stream in (True, False):
        name = f"retries-{step}-{stream}".replace(" ", "")[:200]
        async with server.openai() as client:
            with pytest.raises(error) as raised:
                await client.chat.completions.create(
                    model="m",
                    messages=[],
                    stream=stream,
                    extra_body={"do": [step]},
                    extra_headers={"X-Request-Id": name},
                )
        assert raised.value.request_id == name
        assert server.notes_file.read_text().count(f"{name}\tbegun\t") == times


async def test_a_full_engine_is_overloaded_until_it_has_a_place_again(one_server: Server) -> None:
    holding = {"model": "m", "stream": True, "do": [{"yield": "x"}, "wait"]}
    async with await one_server.connect("openai_full") as connection:
        path = one_server.path("openai_full", "/v1/chat/completions")
        await connection.request("POST", path, json.dumps(holding).encode(), {"X-Request-Id": "openai-holds"})
        await (await connection.answer()).until(b"data: ")
        async with one_server.openai("openai_full", max_retries=0) as impatient:
            with pytest.raises(openai.InternalServerError) as refused:
                await impatient.chat.completions.create(model="m", messages=[], extra_body={"do": []})
        assert (refused.value.status_code, refused.value.code) == (503, "overloaded")
        connection.rst()
        await one_server.noted("openai-holds", "ended: client")
    merged = await answer(one_server, [{"yield": "served"}], "openai_full")
    assert merged.choices[0].message.content == "served"


@pytest.mark.guarantee("W-35")
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/chat/completions", 405),
        ("POST", "/v1/models", 405),
        ("POST", "/v1/embeddings", 404),
        ("GET", "/", 404),
    ],
)
async def test_methods_and_paths_are_refused_in_openais_shape(
    one_server: Server, method: str, path: str, status: int
) -> None:
    async with one_server.client() as client:
        response = await client.request(method, one_server.url("openai", path))
    assert response.status_code == status
    openai_error(response)


@pytest.mark.guarantee("W-35")
async def test_a_body_that_is_too_large_is_refused_in_openais_shape(one_server: Server) -> None:
    body = json.dumps({"model": "m", "blob": "x" * 70_000}).encode()
    response = await ask(one_server, body, service="openai_narrow")
    assert response.status_code == 413
    assert openai_error(response)["type"] == "invalid_request_error"


def openai_error(response: Any) -> dict[str, Any]:
    """The error of a response, which has OpenAI's four keys and the request's name in its head."""
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"]
    error: dict[str, Any] = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    return error
