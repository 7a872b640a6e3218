"""Handlers of each kind: the words about them when the server starts, or with the first request that shows it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pybridge._serve.returns import returned_types, returns_items

from support import serving
from support.serving import Starter

ALONE = ("--port", "0", "--drain-timeout", "0", "--flow-cancel-grace", "0.01")

KINDS = """
    import functools
    import pybridge
    from collections.abc import AsyncIterator

    async def numbers(request):
        yield 1
        yield 2

    async def nothing(request):
        print(request)

    async def sometimes(request):
        if request:
            return request

    async def wraps(request):
        return numbers(request)

    async def annotated(request) -> AsyncIterator[int]:
        return numbers(request)

    @functools.wraps(numbers)
    def covered(request):
        return numbers(request)

    loaded = pybridge.from_sync(lambda request: iter([request]))

    def passes(request):
        return numbers(request)

    def plain(request):
        return {"n": request}

    def synchronous(request):
        yield request

    def hidden(request):
        return dict(n=request)
"""

NULL = "WARNING pybridge.server: nothing returns None for every request: "
JSON = {"Accept": "application/json"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    serving.write(tmp_path, "kinds.py", KINDS)
    return tmp_path


def test_a_handler_that_can_only_return_none_is_told_once(serve: Starter) -> None:
    program = serve("kinds:nothing", *ALONE)
    assert [program.post(number, headers=JSON).text for number in range(3)] == ["null"] * 3
    program.signal().ended(0)
    assert program.log.count("returns None") == program.log.count(NULL) == 1


def test_a_handler_that_returns_none_at_times_is_no_mistake(serve: Starter) -> None:
    program = serve("kinds:sometimes", *ALONE)
    assert [program.post(number, headers=JSON).text for number in range(2)] == ["null", "1"]
    program.signal().ended(0)
    assert not program.err


def test_a_coroutine_function_that_is_annotated_so_streams_what_it_returns(serve: Starter) -> None:
    assert serve("kinds:annotated", *ALONE).post(5).text == "1\n2\n"


def test_an_async_generator_in_place_of_a_value_is_told_with_the_remedy(serve: Starter) -> None:
    program = serve("kinds:wraps", *ALONE)
    assert program.post(5).status_code == 500
    program.said("unary=False (pybridge serve: --no-unary)")
    assert serve("kinds:wraps", *ALONE, "--no-unary").post(5).text == "1\n2\n"


@pytest.mark.guarantee("D-02")
@pytest.mark.parametrize(("name", "told"), [("plain", "it is no async function and returns dict"), ("synchronous", "")])
def test_a_function_that_can_give_no_items_keeps_the_server_from_starting(serve: Starter, name: str, told: str) -> None:
    program = serve(f"kinds:{name}", *ALONE).ended(2)
    assert re.fullmatch(rf"pybridge: kinds:{name} cannot be served: {told}.*pybridge.from_sync\(\)\n", program.log)


@pytest.mark.parametrize(("name", "text"), [("covered", "1\n2\n"), ("loaded", "5\n")])
def test_a_decorated_handler_streams_items_too(serve: Starter, name: str, text: str) -> None:
    program = serve(f"kinds:{name}", *ALONE)
    assert program.post(5).text == text
    assert not program.err
    assert program.log.endswith(" streams items\n")


def test_of_a_plain_function_it_is_not_said_what_is_not_known(serve: Starter) -> None:
    program = serve("kinds:passes", *ALONE)
    assert program.post(5).text == "1\n2\n"
    assert "WARNING pybridge.server: passes is no async function: each call has to return an async gen" in program.log
    assert "streams items" not in program.log
    mistaken = serve("kinds:hidden", *ALONE)
    assert mistaken.post(5).status_code == 500
    mistaken.said("returned dict, which is neither an async generator nor awaitable: write `async def` with `yield`")


def test_each_worker_says_how_its_handler_is_served(serve: Starter) -> None:
    program = serve("kinds:numbers", *ALONE, "--workers", "2")
    assert program.url
    assert len(re.findall(r"INFO \[\d+\] pybridge.server: numbers streams items\n", program.log)) == 2


def test_types_are_told_only_of_functions_all_of_whose_returns_are_known() -> None:
    async def unknown(request: object) -> object:
        return request

    async def some(request: object) -> object:
        return request or None

    def several(request: object) -> object:
        if request:
            return [request]
        return f"{request}"

    def raises(_request: object) -> object:
        raise NotImplementedError

    assert [returned_types(function) for function in (unknown, some, raises, print)] == [[]] * 4
    assert returned_types(several) == ["list", "str"]


def test_annotations_of_async_iterators_are_known_as_types_and_as_text() -> None:
    def annotated(annotation: object) -> object:
        def function() -> None:
            pass

        function.__annotations__["return"] = annotation
        return function

    yes = ("AsyncIterator[int]", "collections.abc.AsyncGenerator[int, None]", "t.AsyncIterable")
    no = ("dict[str, AsyncIterator]", "int", dict[str, int], int, None, "MyAsyncIterator")
    assert all(returns_items(annotated(each)) for each in yes)  # type: ignore[arg-type]
    assert not any(returns_items(annotated(each)) for each in no)  # type: ignore[arg-type]
