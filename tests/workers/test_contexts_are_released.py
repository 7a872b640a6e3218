"""Contexts of parts that serve a whole loop or engine: none is a caller's, and none is kept."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

import pytest

from pybridge import Context, PooledEngine, StreamCancelled, Worker, current_context

from support.engines import EngineMaker
from support.forms import FORMS
from support.waiting import turns, until

var: contextvars.ContextVar[Any] = contextvars.ContextVar("var", default=None)


class Big:
    """What a framework keeps per request."""


async def reads(request: object) -> AsyncGenerator[bool, None]:
    await asyncio.sleep(0)
    yield var.get() is not None


def is_gone(ref: weakref.ref[Big]) -> bool:
    gc.collect()
    return ref() is None


@contextlib.asynccontextmanager
async def lifespan() -> AsyncIterator[None]:
    task = asyncio.create_task(asyncio.sleep(3600))
    try:
        yield
    finally:
        task.cancel()


def own_worker(kind: str) -> Any:
    """A worker that no test has used before."""
    return "attached" if kind == "attached" else Worker(loop=kind)  # type: ignore[arg-type]


@pytest.mark.guarantee("H-14")
@pytest.mark.parametrize(
    ("kind", "form"),
    # An attached engine has no loop to run on in a plain thread, where `iter` is called.
    [
        (kind, form)
        for kind in ("attached", "asyncio", "uvloop")
        for form in FORMS
        if (kind, form) != ("attached", "iter")
    ],
)
@pytest.mark.parametrize("with_lifespan", [False, True])
async def test_context_of_the_first_caller_goes_with_its_stream(kind: str, form: str, with_lifespan: bool) -> None:
    async def first() -> weakref.ref[Big]:
        big = Big()
        var.set(big)
        await FORMS[form](engine)
        return weakref.ref(big)

    async with PooledEngine(reads, worker=own_worker(kind), lifespan=lifespan if with_lifespan else None) as engine:
        kept = await asyncio.create_task(first())
        await until(lambda: is_gone(kept), "the context of the first caller is gone")


@pytest.mark.guarantee("H-14")
@pytest.mark.parametrize("kind", ["attached", "asyncio", "uvloop"])
async def test_context_of_a_caller_goes_with_a_stream_that_is_refused_left_or_late(kind: str) -> None:
    async def waits(request: object) -> AsyncGenerator[int, None]:
        yield 1
        await asyncio.Event().wait()

    async def left() -> None:
        async with engine(None) as stream:
            await anext(stream)

    async def late() -> None:
        with pytest.raises(StreamCancelled):
            await engine.call(None, timeout=0.01)

    async def keeps(act: Callable[[], Any]) -> weakref.ref[Big]:
        big = Big()
        var.set(big)
        await act()
        return weakref.ref(big)

    async with PooledEngine(waits, worker=own_worker(kind)) as engine:
        kept = [await asyncio.create_task(keeps(act)) for act in (left, late)]
        await until(lambda: all(map(is_gone, kept)), "the contexts of the callers are gone")


@pytest.mark.guarantee("H-14")
@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
async def test_context_of_a_caller_goes_although_its_handler_cancelled_a_timer(kind: str) -> None:
    """The loop sleeps once the handler has ended."""

    async def in_time(request: object) -> AsyncGenerator[int, None]:
        async with asyncio.timeout(3600):
            yield 1

    async def calls() -> weakref.ref[Big]:
        big = Big()
        var.set(big)
        assert await engine.call(None) == 1
        return weakref.ref(big)

    async with PooledEngine(in_time, worker=own_worker(kind)) as engine:
        kept = await asyncio.create_task(calls())
        await until(lambda: is_gone(kept), "the context of the caller is gone")


@pytest.mark.guarantee("H-14")
async def test_context_of_who_closes_an_engine_goes_although_it_could_have_waited_longer(
    make_engine: EngineMaker,
) -> None:
    async def closes() -> weakref.ref[Big]:
        big = Big()
        var.set(big)
        async with contextlib.aclosing(engine(None)) as stream:
            await anext(stream)
            closing = asyncio.create_task(engine.aclose(3600))
            await turns(2)
        await closing
        return weakref.ref(big)

    # A timer that is due earlier keeps a later one in asyncio's heap, cancelled or not.
    timer = asyncio.get_running_loop().call_later(1800, print)
    engine = make_engine(reads)
    kept = await asyncio.create_task(closes())
    await until(lambda: is_gone(kept), "the context of who closed is gone")
    timer.cancel()


@pytest.mark.guarantee("E-16")
async def test_lifespan_runs_in_the_context_of_its_engines_making(make_engine: EngineMaker) -> None:
    @contextlib.asynccontextmanager
    async def reads_context() -> AsyncIterator[object]:
        at_begin = var.get()
        yield at_begin
        seen.append((at_begin, var.get()))

    async def state(request: object, context: Context) -> AsyncGenerator[object, None]:
        yield [context.state, var.get()]

    seen: list[object] = []
    var.set("making")
    async with make_engine(state, lifespan=reads_context) as engine:
        var.set("calling")
        assert await engine.call(None) == ["making", "calling"]
        await engine.aclose()
    assert seen == [("making", "making")]


@pytest.mark.guarantee("E-16")
async def test_engine_made_by_a_handler_belongs_to_no_stream(make_engine: EngineMaker) -> None:
    """The stream may be over when the lifespan makes its calls."""

    @contextlib.asynccontextmanager
    async def warm_up() -> AsyncIterator[int]:
        with pytest.raises(LookupError):
            current_context()
        yield await reader.call(None)

    async def makes(request: object) -> AsyncGenerator[int, None]:
        made.append(make_engine(reads, lifespan=warm_up))
        yield 1
        await asyncio.Event().wait()

    made: list[PooledEngine] = []
    reader = make_engine(reads)
    async with make_engine(makes)(None) as stream:
        await anext(stream)
    async with made[0] as engine:
        assert await engine.call(None) is False
