"""Kinds of handlers run, and wrong ones are refused when the engine is made."""

from __future__ import annotations

import asyncio
import functools
import operator
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import pybridge
from pybridge import Context, EncodeError, PooledEngine

from support.consumers import collect
from support.engines import EngineMaker

ITEMS = [0, 1, 2]


async def generator(request: int) -> AsyncGenerator[int, None]:
    for number in range(request):
        await asyncio.sleep(0)
        yield number


async def returns_generator(request: int) -> AsyncGenerator[int, None]:
    await asyncio.sleep(0)
    return generator(request)


def sync_returns_generator(request: int) -> AsyncGenerator[int, None]:
    return generator(request)


class BareIterator:
    """Has `__aiter__` and `__anext__` and nothing else."""

    def __init__(self, request: int) -> None:
        self._items = iter(range(request))

    def __aiter__(self) -> BareIterator:
        return self

    async def __anext__(self) -> int:
        await asyncio.sleep(0)
        for item in self._items:
            return item
        raise StopAsyncIteration


class Iterable:
    """Its iterator is another object."""

    def __init__(self, request: int) -> None:
        self._request = request

    def __aiter__(self) -> AsyncIterator[int]:
        return generator(self._request)


class AwaitableResult:
    """No coroutine, but `await` takes it."""

    def __init__(self, request: int) -> None:
        self._request = request

    def __await__(self) -> Any:
        yield from asyncio.sleep(0).__await__()
        return generator(self._request)


async def returns_future(request: int) -> Any:
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_result, generator(request))
    return await future


class Methods:
    def __init__(self) -> None:
        self.limit = 10

    async def method(self, request: int) -> AsyncGenerator[int, None]:
        for number in range(min(request, self.limit)):
            yield number

    @classmethod
    async def class_method(cls, request: int) -> AsyncGenerator[int, None]:
        for number in range(request):
            yield number

    @staticmethod
    async def static(request: int) -> AsyncGenerator[int, None]:
        for number in range(request):
            yield number

    async def __call__(self, request: int) -> AsyncGenerator[int, None]:
        for number in range(request):
            yield number


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*arguments: Any, **keywords: Any) -> Any:
        return function(*arguments, **keywords)

    return wrapper


async def scaled(factor: int, request: int, *, offset: int) -> AsyncGenerator[int, None]:
    for number in range(request):
        yield number * factor + offset


HANDLERS: dict[str, Any] = {
    "async generator function": generator,
    "coroutine function returning a generator": returns_generator,
    "coroutine awaiting a future": returns_future,
    "sync function returning a generator": sync_returns_generator,
    "iterator without aclose": lambda request: BareIterator(request),  # noqa: PLW0108 - a class is no handler
    "iterable": lambda request: Iterable(request),  # noqa: PLW0108 - a class is no handler
    "awaitable object": lambda request: AwaitableResult(request),  # noqa: PLW0108 - a class is no handler
    "bound method": Methods().method,
    "class method": Methods.class_method,
    "static method": Methods.static,
    "staticmethod object": vars(Methods)["static"],
    "callable object": Methods(),
    "partial": functools.partial(scaled, 1, offset=0),
    "partial of a partial": functools.partial(functools.partial(scaled, 1), offset=0),
    "wrapped": decorated(generator),
    "wrapped twice": decorated(decorated(generator)),
    "lambda": lambda request: generator(request),  # noqa: PLW0108 - the lambda is what is tested
    "C function": operator.methodcaller("method", 3),
}


def request_for(handler: Any) -> Any:
    return Methods() if isinstance(handler, operator.methodcaller) else 3


@pytest.mark.guarantee("H-01")
@pytest.mark.parametrize("name", HANDLERS)
async def test_every_kind_of_handler_runs(make_engine: EngineMaker, name: str) -> None:
    handler = HANDLERS[name]
    engine = make_engine(handler)
    for _ in range(2):
        assert await collect(engine(request_for(handler))) == ITEMS
    assert await collect(engine(0 if request_for(handler) == 3 else Methods())) in ([], ITEMS)


@pytest.mark.guarantee("H-08")
async def test_engine_keeps_the_object_of_a_bound_method(make_engine: EngineMaker) -> None:
    engine = make_engine(Methods().method)
    assert await collect(engine(3)) == ITEMS


@pytest.mark.guarantee("H-10")
@pytest.mark.parametrize("kind", ["method", "partial", "callable", "wrapped", "function"])
async def test_every_kind_of_handler_gets_the_context_it_asks_for(make_engine: EngineMaker, kind: str) -> None:
    class WithContext:
        async def method(self, request: int, context: Context) -> AsyncGenerator[str, None]:
            yield context.id

        async def __call__(self, request: int, *, context: Context) -> AsyncGenerator[str, None]:
            yield context.id

    async def function(request: int, context: Context | None = None) -> AsyncGenerator[str, None]:
        assert context
        yield context.id

    handlers: dict[str, Any] = {
        "method": WithContext().method,
        "callable": WithContext(),
        "partial": functools.partial(WithContext.method, WithContext()),
        "wrapped": decorated(function),
        "function": function,
    }
    engine = make_engine(handlers[kind])
    assert await collect(engine(1, request_id="mine")) == ["mine"]


@pytest.mark.guarantee("H-04")
async def test_unary_gives_the_one_value_and_ends(make_engine: EngineMaker) -> None:
    async def handler(request: int) -> list[int]:
        await asyncio.sleep(0)
        return [request]

    engine = make_engine(handler, unary=True)
    assert await engine.call(5) == [5]
    assert await collect(engine(6)) == [[6]]
    assert engine.stats().streams.finished == 2


@pytest.mark.guarantee("H-04")
async def test_unary_value_is_never_looked_into(make_engine: EngineMaker) -> None:
    async def none(request: object) -> None:
        return None

    assert await make_engine(none, unary=True).call(1) is None


@pytest.mark.guarantee("H-04")
async def test_unary_result_is_the_item_whatever_it_is(make_engine: EngineMaker) -> None:
    """Never guessed from the value, so a generator is an item that no codec takes."""
    with pytest.raises(
        EncodeError, match=r"async_generator.*make the handler an async generator function itself"
    ) as error:
        await make_engine(returns_generator, unary=True).call(1)
    assert error.value.path == "$"


@pytest.mark.guarantee("H-03")
async def test_coroutine_with_a_plain_result_names_the_remedy(make_engine: EngineMaker) -> None:
    async def handler(request: object) -> int:
        return 1

    with pytest.raises(TypeError, match="unary=True"):
        await collect(make_engine(handler)(None))


@pytest.mark.guarantee("H-04")
async def test_unary_function_without_a_coroutine_names_the_remedy(make_engine: EngineMaker) -> None:
    with pytest.raises(TypeError, match="coroutine function"):
        await collect(make_engine(lambda request: 1, unary=True)(None))


def sync_generator(request: int) -> Iterator[int]:
    yield from range(request)


@pytest.mark.guarantee("H-06")
async def test_synchronous_generator_runs_when_wrapped(make_engine: EngineMaker) -> None:
    assert await collect(make_engine(pybridge.from_sync(sync_generator))(3)) == ITEMS


@pytest.mark.guarantee("H-03")
async def test_synchronous_result_names_the_remedy(make_engine: EngineMaker) -> None:
    """What only the call shows."""
    with pytest.raises(TypeError, match="from_sync"):
        await collect(make_engine(decorated(sync_generator))(3))


@pytest.mark.guarantee("H-03")
async def test_result_that_is_no_stream_is_named(make_engine: EngineMaker) -> None:
    with pytest.raises(TypeError, match="returned int"):
        await collect(make_engine(lambda request: 1)(3))


class Broken:
    """`__aiter__` gives something that has no `__anext__`."""

    def __aiter__(self) -> Any:
        return 1


@pytest.mark.guarantee("H-03")
async def test_iterable_with_a_broken_iterator_is_a_type_error(make_engine: EngineMaker) -> None:
    with pytest.raises(TypeError, match="__anext__"):
        await collect(make_engine(lambda request: Broken())(3))


def coroutine_object() -> Any:
    coroutine = returns_generator(1)
    coroutine.close()
    return coroutine


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "sync generator function": (lambda: sync_generator, "sync_generator.*from_sync"),
    "partial of one": (lambda: functools.partial(sync_generator), "sync_generator.*from_sync"),
    "class": (lambda: BareIterator, "BareIterator"),
    "generator object": (lambda: generator(1), "async generator object"),
    "sync generator object": (lambda: sync_generator(1), "generator object"),
    "coroutine object": (coroutine_object, "coroutine object"),
    "not callable": (lambda: 3, "int"),
    "None": (lambda: None, "NoneType"),
    "classmethod object": (lambda: vars(Methods)["class_method"], "classmethod"),
}


@pytest.mark.guarantee("H-02")
@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_serve_calls_is_refused_at_construction(name: str) -> None:
    make, message = WRONG[name]
    with pytest.raises(TypeError, match=message):
        PooledEngine(make())


async def no_parameter() -> AsyncGenerator[int, None]:
    yield 1


async def two_parameters(request: int, other: int) -> AsyncGenerator[int, None]:
    yield 1


async def keyword_only(*, request: int) -> AsyncGenerator[int, None]:
    yield 1


@pytest.mark.guarantee("H-02")
@pytest.mark.parametrize("handler", [no_parameter, two_parameters, keyword_only])
def test_handler_that_does_not_take_one_request_is_refused_by_name(handler: Any) -> None:
    with pytest.raises(TypeError, match=f"{handler.__name__}.*one positional request"):
        PooledEngine(handler)


def test_context_asked_for_but_not_taken_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match=r"generator.*context"):
        PooledEngine(generator, context=True)


@pytest.mark.guarantee("H-02")
def test_unary_generator_function_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match=r"generator.*unary"):
        PooledEngine(generator, unary=True)


async def takes_anything(*arguments: Any, **keywords: Any) -> AsyncGenerator[Any, None]:
    yield [len(arguments), sorted(keywords)]


@pytest.mark.guarantee("H-10")
async def test_explicit_context_overrides_the_signature(make_engine: EngineMaker) -> None:
    assert await collect(make_engine(takes_anything)(1)) == [[1, []]]
    assert await collect(make_engine(takes_anything, context=True)(1)) == [[1, ["context"]]]

    async def optional(request: int, context: Context | None = None) -> AsyncGenerator[bool, None]:
        yield context is None

    assert await collect(make_engine(optional, context=False)(1)) == [True]


@pytest.mark.guarantee("H-10")
async def test_parameter_called_context_that_is_the_request_is_the_request(make_engine: EngineMaker) -> None:
    async def handler(context: int) -> AsyncGenerator[int, None]:
        yield context

    assert await collect(make_engine(handler)(7)) == [7]


class ClosableIterator(BareIterator):
    """Has `aclose`, but cannot be thrown into."""

    def __init__(self, closed: list[str], error: Exception | None = None) -> None:
        super().__init__(1_000_000)
        self._closed = closed
        self._error = error

    async def __anext__(self) -> int:
        if self._error:
            raise self._error
        return await super().__anext__()

    async def aclose(self) -> None:
        await asyncio.sleep(0)
        self._closed.append("closed")


@pytest.mark.guarantee("H-09")
async def test_iterator_with_aclose_is_closed_when_its_stream_ends_early(make_engine: EngineMaker) -> None:
    closed: list[str] = []
    engine = make_engine(lambda request: ClosableIterator(closed))
    async with engine(None) as stream:
        assert await anext(stream) == 0
    assert closed == ["closed"]


@pytest.mark.guarantee("H-09")
async def test_iterator_with_aclose_is_closed_when_it_raises(make_engine: EngineMaker) -> None:
    closed: list[str] = []
    engine = make_engine(lambda request: ClosableIterator(closed, ValueError("lost")))
    with pytest.raises(ValueError, match="lost"):
        await collect(engine(None))
    assert closed == ["closed"]


@pytest.mark.parametrize("operation", ["anext", "asend", "athrow", "aclose"])
async def test_generator_that_a_stream_waits_for_refuses_others(make_engine: EngineMaker, operation: str) -> None:
    """As it would if it were iterated without an engine."""
    release: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
    said: list[str] = []

    async def generate() -> AsyncGenerator[int, None]:
        yield 1
        event = asyncio.Event()
        release.append((asyncio.get_running_loop(), event))
        asyncio.get_running_loop().call_soon(asyncio.ensure_future, interfere())
        await event.wait()
        yield 2
        yield 3

    async def interfere() -> None:
        assert generator.ag_running  # type: ignore[attr-defined]
        try:
            match operation:
                case "anext":
                    await anext(generator)
                case "asend":
                    await generator.asend(None)
                case "athrow":
                    await generator.athrow(KeyError())
                case "aclose":
                    await generator.aclose()
        except RuntimeError as error:
            said.append(str(error))
        release[0][1].set()

    generator = generate()
    engine = make_engine(lambda request: generator)
    assert await collect(engine(None)) == [1, 2, 3]
    assert said == [f"{operation}(): asynchronous generator is already running"] or (operation == "asend" and said)
    assert not generator.ag_running  # type: ignore[attr-defined]


async def test_generator_that_two_streams_share_gives_one_of_them_an_error(make_engine: EngineMaker) -> None:
    """Neither is cut short in silence."""

    async def generate() -> AsyncGenerator[int, None]:
        for number in range(5):
            yield number
            await asyncio.sleep(0.01)

    generator = generate()
    engine = make_engine(lambda request: generator)
    results = await asyncio.gather(collect(engine(None)), collect(engine(None)), return_exceptions=True)
    assert sum(isinstance(result, RuntimeError) and "already running" in str(result) for result in results) == 1
