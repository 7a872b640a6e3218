"""Requests as handlers get them: the caller's very object, or a fresh one that was decoded."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from support.consumers import collect
from support.engines import EngineMaker


@pytest.mark.guarantee("H-15")
async def test_request_is_the_callers_very_object(make_engine: EngineMaker) -> None:
    request: dict[str, Any] = {"lock": threading.Lock()}

    async def handler(request: dict[str, Any]) -> AsyncGenerator[int, None]:
        yield id(request)
        request["seen"] = True

    assert await collect(make_engine(handler)(request)) == [id(request)]
    assert request["seen"]


@pytest.mark.guarantee("H-15")
async def test_encoded_request_is_fresh_and_the_handlers_own(make_engine: EngineMaker) -> None:
    async def handler(request: dict[str, Any]) -> AsyncGenerator[Any, None]:
        request["list"].append("mine")
        yield request

    engine = make_engine(handler)
    for _ in range(2):
        assert await collect(engine(b'{"list": [1]}', encoded="json")) == [{"list": [1, "mine"]}]
