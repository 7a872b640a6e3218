"""References to Python objects as the collector sees them: each once, so that nothing in use is cleared."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

import pybridge
from pybridge import FlowConfig, JsonCodec, MsgpackCodec, PooledEngine, Worker, current_context
from pybridge._native import native_codec

from support.leaks import reference_count
from support.processes import PythonRunner

CODECS = pytest.mark.parametrize("make_codec", [MsgpackCodec, JsonCodec])


class Foreign:
    """What no codec knows."""


class Owner:
    """Owns whatever a test gives it, and converts objects as a codec's hook."""

    def __init__(self) -> None:
        self.owned: list[object] = []

    def convert(self, value: object) -> str:
        return "converted"


def shown(holders: Iterable[object], target: object) -> int:
    """How often the collector sees `target` from `holders`."""
    return sum(referent is target for holder in holders for referent in gc.get_referents(holder))


@CODECS
def test_an_object_that_keeps_what_its_hook_encoded_is_collected(make_codec: Callable[..., Any]) -> None:
    owner = Owner()
    codec = make_codec(default=owner.convert)
    owner.owned += [pybridge.encode(Foreign(), codec), native_codec(codec)]
    gone = weakref.ref(owner)
    del owner, codec
    gc.collect()
    assert gone() is None


@CODECS
def test_a_kept_frame_keeps_no_hook(make_codec: Callable[..., Any]) -> None:
    owner = Owner()
    codec = make_codec(default=owner.convert)
    owner.owned.append(codec)
    frame = pybridge.encode([Foreign()], codec)
    gone = weakref.ref(owner)
    del owner, codec
    gc.collect()
    assert gone() is None
    assert frame.decode() == pybridge.decode(frame, limits=pybridge.Limits()) == ["converted"]


def test_a_hook_is_never_cleared_while_it_can_be_called(run_python: PythonRunner) -> None:
    run_python(
        """
        import gc, weakref
        import pybridge
        from pybridge._native import native_codec

        class Foreign:
            pass

        def make():
            def hook(value):
                return [hook.__name__, len(keep)]
            keep = [hook]
            codec = pybridge.MsgpackCodec(default=hook)
            native = native_codec(codec)
            keep += [codec, native]
            return pybridge.encode(Foreign(), native), pybridge.encode(Foreign(), codec), weakref.ref(hook)

        *frames, hook = make()
        gc.collect()
        assert hook() is None
        assert [frame.decode() for frame in frames] == [["hook", 3]] * 2
        """
    )


@CODECS
def test_a_call_that_has_not_begun_is_collected_with_its_codec(make_codec: Callable[..., Any]) -> None:
    async def handler(request: Owner) -> AsyncIterator[object]:
        yield request

    engine = PooledEngine(handler)
    owner = Owner()
    owner.owned.append(engine(owner, codec=make_codec(default=owner.convert)))
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None


async def test_each_reference_to_a_hook_is_shown_to_the_collector_once() -> None:
    begun = asyncio.Event()

    async def handler(request: object) -> AsyncIterator[object]:
        yield Foreign()
        begun.set()
        await asyncio.Event().wait()

    def hook(value: object) -> str:
        return "converted"

    references = reference_count(hook)
    before = references()
    engine = PooledEngine(handler, worker="attached")
    codec = native_codec(MsgpackCodec(default=hook))
    assert references() - before == shown([codec], hook) == 1
    async with engine._core.open("frames", None, codec, "none") as stream:
        frame = await anext(stream)
        await begun.wait()
        drivers = [one for one in gc.get_objects() if type(one).__qualname__ == "Driver"]
        assert shown(drivers, hook) == 1
        assert shown([frame, stream], hook) == 0
        assert references() - before == shown([codec, *drivers], hook) == 2
    del stream, drivers
    assert references() - before == 1


def test_an_engine_shows_all_that_it_holds() -> None:
    async def handler(request: object) -> AsyncIterator[object]:
        yield request

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        yield

    worker = Worker()
    engine = PooledEngine(handler, worker=worker, lifespan=lifespan)
    for held in (handler, worker, lifespan):
        assert shown([engine._core], held) == 1
    assert sum(isinstance(held, type(native_codec("raw"))) for held in gc.get_referents(engine._core)) == 1


@pytest.mark.guarantee("M-15")
@pytest.mark.parametrize("with_lifespan", [False, True])
def test_a_loop_that_nobody_closes_is_collected_with_its_streams_and_lifespans(with_lifespan: bool) -> None:
    @asynccontextmanager
    async def lifespan() -> AsyncIterator[object]:
        yield asyncio.get_running_loop()

    async def handler(request: Owner) -> AsyncIterator[object]:
        request.owned.append(current_context())
        yield Foreign()
        await asyncio.Event().wait()

    owner = Owner()
    codec = MsgpackCodec(default=owner.convert)
    engine = PooledEngine(handler, worker="attached", codec=codec, lifespan=lifespan if with_lifespan else None)
    event_loop = asyncio.SelectorEventLoop()
    stream = engine(owner)
    assert event_loop.run_until_complete(anext(stream)) == "converted"
    owner.owned += [event_loop, stream, engine]
    gone = weakref.ref(owner), weakref.ref(event_loop)
    del owner, event_loop, stream, engine, codec
    with pytest.warns(ResourceWarning, match="unclosed event loop"):
        gc.collect()
    assert [one() for one in gone] == [None, None]


def test_a_loop_that_nobody_closes_is_collected_with_a_handler_that_is_being_closed() -> None:
    """The exception that its stream has ended with leads to the loop, by its frames."""

    class Numbers:
        def __aiter__(self) -> AsyncIterator[int]:
            return self

        async def __anext__(self) -> int:
            running = asyncio.get_running_loop()
            raise ValueError(running.time())

        async def aclose(self) -> None:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            await asyncio.Event().wait()

    engine = PooledEngine(lambda request: Numbers(), worker="attached", flow=FlowConfig(cancel_grace=0.01))
    event_loop = asyncio.SelectorEventLoop()
    with pytest.raises(ValueError, match=r"\d"):
        event_loop.run_until_complete(anext(engine(None)))
    gone = weakref.ref(event_loop)
    del event_loop
    with pytest.warns(ResourceWarning, match="unclosed event loop"):
        gc.collect()
    assert gone() is None
