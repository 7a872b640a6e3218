"""Calls that come from a lifespan: a warm-up that would wait for itself is told so, every other one works."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal

import pytest

from pybridge import FlowConfig, PooledEngine, Worker

from support.engines import EngineMaker
from support.forms import FORMS
from support.waiting import until

OWN = "engine warm is called from the lifespan of engine warm, which the call would wait for"

# An attached engine cannot be called from a plain thread at all, and says that.
OR_NO_LOOP = "|this engine is attached and no event loop of asyncio runs here"


@pytest.fixture
def make_engine(make_engine: EngineMaker) -> Iterator[EngineMaker]:
    """The engines are closed after the test: a lifespan that refers to its engine keeps it until then."""
    engines: list[PooledEngine] = []

    def make(*arguments: Any, **settings: Any) -> PooledEngine:
        engines.append(make_engine(*arguments, **settings))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


async def single(request: object) -> AsyncGenerator[int, None]:
    yield 1


def lifespan_that(act: Callable[[], Awaitable[object]]) -> Callable[[], AbstractAsyncContextManager[None]]:
    """A lifespan that does this before it is entered."""

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        await asyncio.sleep(0)
        await act()
        yield

    return lifespan


@pytest.mark.guarantee("E-15")
@pytest.mark.parametrize("where", ["in its task", "in a task of its own"])
@pytest.mark.parametrize("form", FORMS)
async def test_engine_called_from_its_own_lifespan_says_so_at_once(
    make_engine: EngineMaker, form: str, where: str
) -> None:
    async def warm_up() -> None:
        call = FORMS[form](engine)
        await (call if where == "in its task" else asyncio.create_task(own(call)))

    async def own(call: Awaitable[Any]) -> None:
        await call

    engine = make_engine(single, lifespan=lifespan_that(warm_up), name="warm")
    for _ in range(2):
        # The lifespan's own failure is what the calls that wait for it get; later ones enter it again.
        with pytest.raises(RuntimeError, match=OWN + OR_NO_LOOP if form == "iter" else OWN):
            await engine.call(None)
    streams = engine.stats().streams
    assert (streams.started, streams.raised, streams.refused) == (2, 2, 2)


@pytest.mark.guarantee("E-15")
@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
async def test_function_that_a_lifespan_has_its_loop_run_in_a_thread_is_told_as_well(
    kind: Literal["asyncio", "uvloop"],
) -> None:
    """`run_in_executor` hands on no context."""

    async def warm_up() -> None:
        seen.append(await asyncio.get_running_loop().run_in_executor(None, lambda: var.get(None)))
        await asyncio.get_running_loop().run_in_executor(None, lambda: list(engine.iter(None)))

    seen: list[object] = []
    var: contextvars.ContextVar[int] = contextvars.ContextVar("var")
    var.set(1)
    engine = PooledEngine(single, worker=Worker(loop=kind), lifespan=lifespan_that(warm_up), name="warm")
    with pytest.raises(RuntimeError, match=OWN):
        await engine.call(None)
    assert seen == [None]
    engine.close()


async def test_lifespan_that_goes_on_after_its_refused_call_is_entered(make_engine: EngineMaker) -> None:
    async def warm_up() -> None:
        with pytest.raises(RuntimeError, match=OWN):
            await engine.call(None)

    engine = make_engine(single, lifespan=lifespan_that(warm_up), name="warm")
    assert [await engine.call(None) for _ in range(3)] == [1, 1, 1]


@pytest.mark.guarantee("E-15")
async def test_task_made_by_a_lifespan_may_call_once_that_is_entered(make_engine: EngineMaker) -> None:
    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        entered = asyncio.Event()
        task = asyncio.create_task(warm_up(entered))
        asyncio.get_running_loop().call_soon(entered.set)
        try:
            yield
        finally:
            await task

    async def warm_up(entered: asyncio.Event) -> None:
        await entered.wait()
        warmed.append(await engine.call(None))

    warmed: list[int] = []
    async with make_engine(single, lifespan=lifespan) as engine:
        assert await engine.call(None) == 1
        await until(lambda: warmed, "the background task has called")


@pytest.mark.guarantee("E-15")
@pytest.mark.parametrize("form", FORMS)
async def test_engines_whose_lifespans_call_each_other_say_so_at_once(make_engine: EngineMaker, form: str) -> None:
    engines: list[PooledEngine] = []

    def calls(index: int) -> Callable[[], Awaitable[object]]:
        return lambda: FORMS[form](engines[index])

    engines += [
        make_engine(single, lifespan=lifespan_that(calls((number + 1) % 3)), name=f"engine-{number}")
        for number in range(3)
    ]
    for first in range(3):
        last = (first + 2) % 3
        message = f"engine engine-{first} is called from the lifespan of engine engine-{last}"
        with pytest.raises(RuntimeError, match=message + OR_NO_LOOP if form == "iter" else message):
            await engines[first].call(None)


@pytest.mark.guarantee("E-15")
async def test_lifespans_on_different_workers_that_call_each_other_say_so() -> None:
    async def call_once_both_are_being_entered(own: int) -> None:
        begun[own].set()
        await asyncio.to_thread(begun[1 - own].wait)
        await engines[1 - own].call(None)

    begun = [threading.Event(), threading.Event()]
    workers = [Worker(name=f"lifespan-{number}") for number in range(2)]
    engines = [
        PooledEngine(
            single, worker=worker, lifespan=lifespan_that(functools.partial(call_once_both_are_being_entered, own))
        )
        for own, worker in enumerate(workers)
    ]
    failures = await asyncio.gather(*(engine.call(None) for engine in engines), return_exceptions=True)
    # One of the calls closes the circle and is refused; the other fails with the lifespan that it waits for.
    assert [type(failure) for failure in failures] == [RuntimeError, RuntimeError]
    assert "is called from the lifespan of" in str(failures[0])
    # A call that arrives only after that lifespan failed has it entered, and refused, once more.
    assert sum(engine.stats().streams.refused for engine in engines) in (1, 2)
    await asyncio.gather(*(engine.aclose(0) for engine in engines))


@pytest.mark.guarantee("E-15")
async def test_handler_that_a_lifespan_calls_cannot_call_back(make_engine: EngineMaker) -> None:
    async def back(request: object) -> AsyncGenerator[int, None]:
        yield await first.call(None)

    second = make_engine(back, name="second")
    first = make_engine(single, name="first", lifespan=lifespan_that(lambda: second.call(None)))
    with pytest.raises(RuntimeError, match="engine first is called from the lifespan of engine first"):
        await first.call(None)


@pytest.mark.guarantee("E-15")
async def test_lifespans_may_call_whatever_does_not_wait_for_them(make_engine: EngineMaker) -> None:
    async def both() -> None:
        assert await middle.call(None) + await last.call(None) == 2

    last = make_engine(single, lifespan=lifespan_that(lambda: asyncio.sleep(0)))
    middle = make_engine(single, lifespan=lifespan_that(lambda: last.call(None)))
    first = make_engine(single, lifespan=lifespan_that(both))
    assert await first.call(None) == 1


async def test_call_that_a_lifespan_gave_up_is_no_longer_waited_for(make_engine: EngineMaker) -> None:
    async def impatient() -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(second.call(None), 0.01)
        given_up.append(1)

    async def patient() -> None:
        await until(lambda: given_up, "the call was given up")
        assert await first.call(None) == 1

    given_up: list[int] = []
    first = make_engine(single, lifespan=lifespan_that(impatient))
    second = make_engine(single, lifespan=lifespan_that(patient))
    assert await first.call(None) == 1
    assert await second.call(None) == 1


@pytest.mark.guarantee("E-15")
async def test_call_from_a_lifespan_takes_no_place_from_the_call_that_waits_for_it(make_engine: EngineMaker) -> None:
    async def outer(request: str) -> AsyncGenerator[int, None]:
        yield await inner.call(None) if request == "outer" else 2

    engine = make_engine(outer, flow=FlowConfig(max_concurrency=1, max_queue=0))
    inner = make_engine(single, lifespan=lifespan_that(lambda: engine.call("warm-up")))
    assert await engine.call("outer") == 1
