"""Payloads of the codec lanes: what streams of language models, embeddings and tools carry."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pydantic

MODEL = "pydantic model"


def token_dict() -> Any:
    """About 80 bytes of JSON."""
    return {"token": "hello", "id": 15339, "logprob": -0.25, "index": 17, "finish_reason": None, "done": False}


def openai_chunk() -> Any:
    """One chunk of a chat completion, about 300 bytes."""
    return {
        "id": "chatcmpl-9ZfJ0nV2wq1xSg4mJc3Hb8Tk",
        "object": "chat.completion.chunk",
        "created": 1719500000,
        "model": "gpt-4o-mini-2024-07-18",
        "system_fingerprint": "fp_0f03d4f0ee",
        "choices": [
            {
                "index": 0,
                "delta": {"role": "assistant", "content": " streaming"},
                "logprobs": None,
                "finish_reason": None,
            }
        ],
        "usage": None,
    }


def embedding() -> Any:
    """1,024 floats."""
    source = random.Random(1)
    return [source.uniform(-1, 1) for _ in range(1024)]


def integers() -> Any:
    """200,000 integers of all widths."""
    source = random.Random(2)
    return [source.getrandbits(source.choice((7, 15, 31, 50))) for _ in range(200_000)]


def text() -> Any:
    """1 MB of ASCII with an escape in each line."""
    line = "The quick brown fox jumps over the lazy dog, again and again until dawn.\n"
    return (line * (1_000_000 // len(line) + 1))[:1_000_000]


def cjk() -> Any:
    """1 MB of text outside Latin-1."""
    return "日本語のテキストをストリームで送る。" * (1_000_000 // 54)


def tree() -> Any:
    """20,000 small dicts, about 1 MB."""
    return [{"id": i, "name": f"item {i}", "score": i / 7, "ok": i % 2 == 0} for i in range(20_000)]


def deep() -> Any:
    """120 containers inside one another."""
    value: Any = {"leaf": 1}
    for level in range(119):
        value = {"next": value} if level % 2 else [value]
    return value


def wide() -> Any:
    """One dict of 2,000 keys."""
    return {f"field_{i}": i for i in range(2000)}


class Model(pydantic.BaseModel):
    """A flat model of three fields."""

    token: str
    id: int
    logprob: float


def model() -> Any:
    """What pydantic's own serializer encodes."""
    return Model(token="hello", id=15339, logprob=-0.25)


PAYLOADS: dict[str, Callable[[], Any]] = {
    "token dict": token_dict,
    "OpenAI chunk": openai_chunk,
    "1,024 floats": embedding,
    "200,000 ints": integers,
    "1 MB text": text,
    "1 MB CJK text": cjk,
    "20,000 dicts": tree,
    "deep": deep,
    "wide": wide,
    MODEL: model,
}

SMALL = ("token dict", "OpenAI chunk", "deep")
