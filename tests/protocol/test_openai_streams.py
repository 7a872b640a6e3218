"""OpenAI's routes, streamed: chunks as they are, envelopes made for deltas, usage, and `[DONE]` at a clean end only."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from openai.types.chat.chat_completion_chunk import ChoiceDelta, ChoiceDeltaToolCall, ChoiceDeltaToolCallFunction

from support.fronts import Server

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def chunk(delta: dict[str, Any], finish_reason: str | None = None, index: int = 0, **more: Any) -> dict[str, Any]:
    """A step that yields a chunk of a chat."""
    choice = {"index": index, "delta": delta, "finish_reason": finish_reason}
    head = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return {"yield": {**head, "choices": [choice], **more}}


def text_chunk(text: str, finish_reason: str | None = None) -> dict[str, Any]:
    """A step that yields a chunk of a completion."""
    choice = {"index": 0, "text": text, "finish_reason": finish_reason, "logprobs": None}
    return {"yield": {"id": "c-1", "object": "text_completion", "created": 1, "model": "m", "choices": [choice]}}


HELLO = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"content": "Hello"}),
    chunk({"content": " world"}),
    chunk({}, "stop"),
]
USED = {"yield": {**HELLO[0]["yield"], "choices": [], "usage": USAGE}}


async def events(server: Server, do: list[Any], endpoint: str = "chat/completions", **body: Any) -> list[Any]:
    """The data of each event of a whole answer."""
    async with server.client() as client:
        response = await client.post(
            server.url("openai", f"/v1/{endpoint}"), json={"model": "m", "stream": True, "do": do, **body}
        )
    assert (response.status_code, response.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert response.text.endswith("\n\n")
    said = []
    for event in response.text.removesuffix("\n\n").split("\n\n"):
        name, _, data = event.partition(": ")
        assert name == "data", event
        said.append(data if data == "[DONE]" else json.loads(data))
    return said


async def read(client: openai.AsyncOpenAI, do: list[Any], **options: Any) -> list[Any]:
    """The chunks that the client of OpenAI reads."""
    body = {"do": do} | options.pop("extra_body", {})
    stream = await client.chat.completions.create(model="m", messages=[], stream=True, extra_body=body, **options)
    return [chunk async for chunk in stream]


def contents(chunks: list[Any]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


@pytest.mark.guarantee("W-31")
async def test_the_client_reads_chunks(server: Server) -> None:
    async with server.openai() as client:
        chunks = await read(client, HELLO)
    assert contents(chunks) == "Hello world"
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None, None, None, "stop"]
    assert {(chunk.id, chunk.model) for chunk in chunks} == {("c-1", "m")}


@pytest.mark.guarantee("W-32")
async def test_chunks_go_out_as_the_handler_made_them(one_server: Server) -> None:
    odd = {"yield": {"choices": [{"index": 0, "delta": {"content": "ä\n\n"}}], "x_trace": [1, {"deep": None}]}}
    assert await events(one_server, [*HELLO, odd]) == [*(step["yield"] for step in [*HELLO, odd]), "[DONE]"]


@pytest.mark.guarantee("W-33")
async def test_a_stream_is_closed_by_done_even_if_it_is_empty(one_server: Server) -> None:
    assert (await events(one_server, []))[-1] == "[DONE]"


@pytest.mark.guarantee("W-33")
async def test_a_failure_after_the_head_is_raised_by_the_client_and_nothing_is_done(server: Server) -> None:
    said: list[str | None] = []
    async with server.openai() as client:
        stream = await client.chat.completions.create(
            model="m", messages=[], stream=True, extra_body={"do": [*HELLO[:2], {"raise": "a private text"}]}
        )
        with pytest.raises(openai.APIError, match="the handler failed") as failed:
            async for each in stream:
                said.append(each.choices[0].delta.content)  # noqa: PERF401 - what came before counts
    assert said == ["", "Hello"]
    assert "private" not in str(failed.value)
    async with await server.connect("openai") as connection:
        body = {"model": "m", "stream": True, "do": [*HELLO, {"raise": "x"}]}
        await connection.request("POST", server.path("openai", "/v1/chat/completions"), json.dumps(body).encode())
        answer = await connection.answer()
        received, whole = await answer.body()
    assert not whole
    assert b"[DONE]" not in received
    error = json.loads(received.decode().rpartition("data: ")[2])["error"]
    assert error.keys() >= {"message", "type", "param", "code"}


@pytest.mark.guarantee("W-32")
@pytest.mark.parametrize("form", ["text", "content"])
async def test_deltas_get_the_envelope_around_them(server: Server, form: str) -> None:
    words = ["Hello", " wörld\n", '"quoted"']
    do = [{"yield": word if form == "text" else {"content": word}} for word in words]
    async with server.openai() as client:
        chunks = await read(client, do)
    assert contents(chunks) == "".join(words)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [each.choices[0].finish_reason for each in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert {(each.object, each.model) for each in chunks} == {("chat.completion.chunk", "m")}
    assert len({each.id for each in chunks}) == len({each.created for each in chunks}) == 1


async def test_the_last_chunk_of_deltas_is_empty_and_says_why_it_ended(one_server: Server) -> None:
    said = await events(one_server, [{"yield": "Hello"}])
    assert said[-1] == "[DONE]"
    assert said[-2]["choices"] == [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    assert all(each["choices"][0]["finish_reason"] is None for each in said[:-2])
    told = await events(one_server, [{"yield": "Hello"}, {"yield": {"content": "", "finish_reason": "length"}}])
    assert [each["choices"][0]["finish_reason"] for each in told[:-1]][-1] == "length"


async def test_deltas_of_tools_and_reasoning_keep_their_fields(one_server: Server) -> None:
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"q":'}}
    more = {"index": 0, "function": {"arguments": '"x"}'}}
    do = [
        {"yield": {"reasoning_content": "let me see"}},
        {"yield": {"tool_calls": [call]}},
        {"yield": {"tool_calls": [more]}},
    ]
    async with one_server.openai() as client:
        chunks = await read(client, do)
    deltas = [each.choices[0].delta for each in chunks]
    assert "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas) == "let me see"
    calls = [call for delta in deltas for call in delta.tool_calls or []]
    assert "".join(call.function.arguments for call in calls) == '{"q":"x"}'
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


async def test_tools_are_streamed_by_their_index(one_server: Server) -> None:
    def call(index: int, **function: str) -> dict[str, Any]:
        named = {"id": f"call_{index}", "type": "function"} if "name" in function else {}
        return chunk({"tool_calls": [{"index": index, **named, "function": function}]})

    do = [
        call(0, name="a", arguments=""),
        call(0, arguments="{}"),
        call(1, name="b", arguments="[]"),
        chunk({}, "tool_calls"),
    ]
    async with one_server.openai() as client:
        chunks = await read(client, do)
    indexes = [each.choices[0].delta.tool_calls[0].index for each in chunks if each.choices[0].delta.tool_calls]
    assert indexes == [0, 0, 1]
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


async def gathered(client: openai.AsyncOpenAI, do: list[Any]) -> Any:
    """The choice that the client's own helper gathers of a stream."""
    function = {"name": "look", "parameters": {"type": "object"}, "strict": True}
    options: Any = {"messages": [], "tools": [{"type": "function", "function": function}], "extra_body": {"do": do}}
    async with client.chat.completions.stream(model="m", **options) as stream:
        async for _ in stream:
            pass
        return (await stream.get_final_completion()).choices[0]


def called(choice: Any) -> list[tuple[str, str, str, str]]:
    calls = choice.message.tool_calls or []
    return [(call.id, call.type, call.function.name, call.function.arguments) for call in calls]


async def test_calls_without_an_index_are_gathered_by_the_client_and_merged_alike(one_server: Server) -> None:
    def begun(id_: str, arguments: str) -> dict[str, Any]:
        return {"id": id_, "type": "function", "function": {"name": "look", "arguments": arguments}}

    def more(arguments: str, **named: str) -> dict[str, Any]:
        return {**named, "function": {"arguments": arguments}}

    apart = [[begun("a", "")], [more("{")], [more("}")], [begun("b", "[")], [more("]")]]
    together = [[begun("a", "{"), more("}"), begun("b", "[]")]]
    by_id = [[begun("a", "")], [more("{", id="a"), more("}", id="a")], [begun("b", "")], [more("[]", id="b")]]
    async with one_server.openai() as client:
        for lists in (apart, together, by_id):
            do = [{"yield": {"tool_calls": calls}} for calls in lists]
            streamed = await gathered(client, do)
            merged = (await client.chat.completions.create(model="m", messages=[], extra_body={"do": do})).choices[0]
            for choice in (streamed, merged):
                assert called(choice) == [("a", "function", "look", "{}"), ("b", "function", "look", "[]")]
                assert choice.finish_reason == "tool_calls"


async def test_what_is_null_in_deltas_of_models_is_absent(one_server: Server) -> None:
    def model(**fields: Any) -> dict[str, Any]:
        return {"yield": ChoiceDelta(**fields).model_dump()}

    def call(id_: str | None, name: str | None, arguments: str) -> ChoiceDeltaToolCall:
        function = ChoiceDeltaToolCallFunction(name=name, arguments=arguments)
        return ChoiceDeltaToolCall(index=0, id=id_, type="function" if id_ else None, function=function)

    text = [model(), model(content="Hello"), model(content=" world"), {"yield": None}, model()]
    calls = [model(tool_calls=[call("a", "look", "{")]), model(tool_calls=[call(None, None, "}")]), model()]
    async with one_server.openai() as client:
        chunks = await read(client, text)
        assert [each.choices[0].delta.role for each in chunks] == ["assistant", None, None]
        for do, content, called_are in [
            (text, "Hello world", []),
            (calls, None, [("a", "function", "look", "{}")]),
        ]:
            streamed = await gathered(client, do)
            merged = (await client.chat.completions.create(model="m", messages=[], extra_body={"do": do})).choices[0]
            for choice in (streamed, merged):
                assert (choice.message.role, choice.message.content) == ("assistant", content)
                assert called(choice) == called_are


async def test_a_none_among_texts_is_passed_over(one_server: Server) -> None:
    do = [{"yield": None}, {"yield": "Hello"}, {"yield": None}, {"yield": " world"}, {"yield": None}]
    async with one_server.openai() as client:
        chunks = await read(client, do)
    assert contents(chunks) == "Hello world"
    assert [each.choices[0].finish_reason for each in chunks] == [None, None, "stop"]


@pytest.mark.guarantee("W-34")
async def test_usage_comes_last_and_only_to_those_who_ask(one_server: Server) -> None:
    async with one_server.openai() as client:
        asked = await read(client, [*HELLO[:2], USED, *HELLO[2:]], stream_options={"include_usage": True})
        silent = await read(client, [*HELLO, USED])
        refused = await read(client, [*HELLO, USED], stream_options={"include_usage": False})
    assert (asked[-1].choices, asked[-1].usage.total_tokens) == ([], 5)
    assert [len(each.choices) for each in asked] == [1, 1, 1, 1, 0]
    for chunks in (silent, refused):
        assert [len(each.choices) for each in chunks] == [1, 1, 1, 1]
        assert contents(chunks) == "Hello world"


@pytest.mark.guarantee("W-34")
async def test_usage_of_deltas_is_held_back_to_the_end(one_server: Server) -> None:
    do = [{"yield": {"content": "Hello", "usage": USAGE}}, {"yield": " world"}]
    async with one_server.openai() as client:
        asked = await read(client, do, stream_options={"include_usage": True})
        silent = await read(client, do)
    assert (asked[-1].choices, asked[-1].usage.total_tokens) == ([], 5)
    assert asked[-2].choices[0].finish_reason == "stop"
    assert all(each.usage is None for each in [*asked[:-1], *silent])
    assert contents(asked) == contents(silent) == "Hello world"


async def test_an_empty_finish_reason_is_none(one_server: Server) -> None:
    said = await events(one_server, [chunk({"content": "a"}, ""), chunk({"content": "b"}, "stop")])
    assert [each["choices"][0]["finish_reason"] for each in said[:-1]] == [None, "stop"]


async def test_completions_stream_texts_in_their_own_envelope(one_server: Server) -> None:
    async with one_server.openai() as client:
        for do in (
            [text_chunk("Hello"), text_chunk(" world", "stop")],
            [{"yield": "Hello"}, {"yield": " world"}],
        ):
            stream = await client.completions.create(model="m", prompt="x", stream=True, extra_body={"do": do})
            chunks = [each async for each in stream]
            assert "".join(each.choices[0].text for each in chunks) == "Hello world"
            assert chunks[-1].choices[0].finish_reason == "stop"
            assert {each.object for each in chunks} == {"text_completion"}


async def test_a_client_that_leaves_its_stream_ends_the_handler(server: Server) -> None:
    async with server.openai() as client:
        stream = await client.chat.completions.create(
            model="m",
            messages=[],
            stream=True,
            extra_body={"do": [*HELLO[:2], "wait"]},
            extra_headers={"X-Request-Id": "openai-leaves"},
        )
        await anext(stream.__aiter__())
        await stream.close()
        await server.noted("openai-leaves", "ended: client")
