"""Names of handlers, and the function that decides their kind."""

from __future__ import annotations

import functools
import operator
import os.path
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest

from pybridge._handler_checks import check_call, check_handler
from pybridge._handlers import handler_name, innermost, load, takes_context


async def generator(request: object) -> AsyncGenerator[object, None]:
    yield request


class Called:
    async def __call__(self, request: object) -> AsyncGenerator[object, None]:
        yield request

    async def method(self, request: object) -> AsyncGenerator[object, None]:
        yield request


class Slotted:
    __slots__ = ()

    def __call__(self, request: object) -> Iterator[object]:
        yield request


class Meta(type):
    def __call__(cls, *arguments: object) -> Any:
        return super().__call__(*arguments)


class WithMeta(metaclass=Meta):
    pass


def test_function_below_partials_and_callable_objects_says_what_a_handler_is() -> None:
    called = Called()
    assert innermost(generator) is generator
    assert innermost(functools.partial(functools.partial(generator), 1)) is generator
    assert innermost(called) is Called.__call__
    assert innermost(functools.partial(called)) is Called.__call__
    assert innermost(Slotted()) is Slotted.__call__
    for itself in (called.method, Called, WithMeta, len, operator.methodcaller("method"), 5):
        assert innermost(itself) is itself


def test_object_that_wraps_a_function_is_what_its_name_says() -> None:
    wrapper = functools.update_wrapper(Called(), generator)
    assert innermost(wrapper) is wrapper
    assert handler_name(wrapper) == "generator"


class NamedOnly:
    """Has no `__qualname__` of its own."""

    def __init__(self, name: object) -> None:
        self.__name__ = name

    def __call__(self, request: object) -> object:
        return request


def test_name_is_the_qualified_one_else_the_short_one_else_that_of_the_class() -> None:
    assert handler_name(generator) == "generator"
    assert handler_name(functools.partial(generator)) == "generator"
    assert handler_name(Called()) == "Called.__call__"
    assert handler_name(Called().method) == "Called.method"
    assert handler_name(operator.methodcaller("method")) == "methodcaller"
    assert handler_name(NamedOnly("short")) == "short"
    assert handler_name(NamedOnly(5)) == "NamedOnly"


def positional(request: object, context: object, /) -> None: ...
def by_keyword(request: object, *, context: object) -> None: ...
def by_either(request: object, context: object) -> None: ...
def after_an_earlier_letter(a: object, context: object) -> None: ...
def request_itself(context: object) -> None: ...
def any_keywords(request: object, **context: object) -> None: ...
def other(request: object) -> None: ...


def test_context_is_given_to_who_takes_it_by_keyword_beside_the_request() -> None:
    assert [takes_context(handler) for handler in (by_keyword, by_either, after_an_earlier_letter)] == [True] * 3
    for handler in (positional, request_itself, any_keywords, other, operator.methodcaller("method")):
        assert not takes_context(handler)


def test_what_cannot_serve_calls_is_named_with_its_article() -> None:
    async def coroutine() -> None: ...

    waiting, stream, plain = coroutine(), generator(1), iter(Slotted()(1))
    for handler, said in (
        (waiting, "the handler is a coroutine object, which"),
        (stream, "the handler is an async generator object, which"),
        (plain, "the handler is a generator object, which"),
        (Called, "the handler is the class Called: pass an instance"),
        (Slotted(), "the handler Slotted.__call__ is a synchronous generator: wrap it"),
    ):
        with pytest.raises(TypeError, match=f"^{said}"):
            check_handler(handler)
    waiting.close()


def test_path_names_an_attribute_of_a_module_however_deep() -> None:
    assert load("operator:methodcaller") is operator.methodcaller
    assert load("os:path.join") is os.path.join


@pytest.mark.parametrize("path", ["operator", "operator:", ":methodcaller", ":", ""])
def test_path_of_another_form_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="is not of the form module:attribute"):
        load(path)


@pytest.mark.parametrize(
    ("context", "called"), [(False, "one positional request:"), (True, "one positional request and context=:")]
)
def test_handler_that_takes_no_request_is_refused_with_what_it_is_called_with(context: bool, called: str) -> None:
    async def handler() -> AsyncGenerator[object, None]:
        yield 1

    with pytest.raises(TypeError, match=f"is called with {called}"):
        check_call(handler, context=context, unary=False)
