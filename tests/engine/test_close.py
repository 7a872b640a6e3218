"""Engines: their limits, their end, and what they leave behind."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import sys
import threading
import weakref
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest

from pybridge import (
    Context,
    EngineClosed,
    FlowConfig,
    HandlerExit,
    Overloaded,
    PooledEngine,
    StreamCancelled,
    Worker,
    encode,
)

from support import skips
from support.consumers import collect, take
from support.engines import EngineMaker
from support.logs import reports
from support.waiting import turns, until, wait_until


async def many(request: Any) -> AsyncGenerator[int, None]:
    """A handler that sometimes waits."""
    for number in range(500):
        if number % 50 == 0:
            await asyncio.sleep(0)
        yield number


def test_engine_shows_its_codec_and_state_even_half_made() -> None:
    engine = PooledEngine(many, codec="json", name="chat")
    assert repr(engine) == "<PooledEngine chat in json: serving>"
    blocking = engine.iter(0)
    assert repr(blocking) == "<blocking pybridge.Stream of items in json: not started>"
    assert len(list(blocking)) == 500
    assert repr(blocking).endswith(": closed>")
    engine.close()
    assert repr(engine) == "<PooledEngine chat in json: closed>"
    assert repr(PooledEngine.__new__(PooledEngine)) == "<PooledEngine: not made>"


@pytest.mark.guarantee("M-15")
def test_engines_that_their_handlers_close_over_are_collected() -> None:
    threads = threading.active_count()
    alive: list[weakref.ref[PooledEngine]] = []

    def make() -> None:
        async def handler(request: object) -> AsyncGenerator[str, None]:
            yield repr(engine)

        engine = PooledEngine(handler, worker="dedicated")
        alive.append(weakref.ref(engine))
        if len(alive) % 500 == 0:
            assert list(engine.iter(None))

    make()
    for _ in range(10_000):
        make()
    gc.collect()
    assert [ref for ref in alive if ref()] == []
    assert threading.active_count() <= threads + 1


async def test_engine_may_go_before_its_streams(make_engine: EngineMaker) -> None:
    async def handler(request: object) -> AsyncGenerator[int, None]:
        for number in range(10):
            await asyncio.sleep(0)
            yield number

    streams = [make_engine(handler)(None) for _ in range(10)]
    gc.collect()
    assert [await collect(stream) for stream in streams] == [list(range(10))] * 10


@pytest.mark.guarantee("F-07")
async def test_calls_over_the_limits_are_refused_and_the_handler_is_not_called(make_engine: EngineMaker) -> None:
    called: list[int] = []
    release: list[Any] = []

    async def handler(request: int) -> AsyncGenerator[int, None]:
        called.append(request)
        event = asyncio.Event()
        release.append((asyncio.get_running_loop(), event))
        yield request
        await event.wait()

    engine = make_engine(handler, flow=FlowConfig(max_concurrency=2, max_queue=1))
    streams = [engine(number) for number in range(2)]
    for stream in streams:
        await anext(stream)
    queued = asyncio.create_task(collect(engine(2)))
    await until(lambda: engine.stats().streams.queued == 1, "one waits")
    for _ in range(3):
        with pytest.raises(Overloaded, match=r": 2 of 2 run \(max_concurrency\), 1 of 1 wait \(max_queue\)$"):
            await anext(engine(3))
    assert called == [0, 1]
    for loop, event in release:
        loop.call_soon_threadsafe(event.set)
    await until(lambda: len(release) == 3, "the one that waited runs")
    loop, event = release[2]
    loop.call_soon_threadsafe(event.set)
    assert await queued == [2]
    assert [await collect(stream) for stream in streams] == [[], []]


@pytest.mark.guarantee("F-10")
async def test_nested_calls_pass_the_limit_of_their_own_engine(make_engine: EngineMaker) -> None:
    async def handler(request: int) -> AsyncGenerator[int, None]:
        yield request + (await engine.call(request - 1) if request else 0)

    engine = make_engine(handler, flow=FlowConfig(max_concurrency=1, max_queue=0))
    assert await engine.call(10) == 55


@pytest.mark.guarantee("E-12")
async def test_closing_delivers_what_was_made_and_cancels_the_rest(make_engine: EngineMaker) -> None:
    seen: list[str | None] = []
    waiting: list[str] = []

    async def handler(request: str, context: Context) -> AsyncGenerator[int, None]:
        try:
            for number in range(20):
                await asyncio.sleep(0)
                yield number
            if request == "endless":
                waiting.append(request)
                await asyncio.Event().wait()
        finally:
            seen.append(context.cancel_reason)

    engine = make_engine(handler)
    finite = [asyncio.create_task(collect(engine("finite"))) for _ in range(10)]
    endless = [engine("endless") for _ in range(3)]
    for stream in endless:
        await anext(stream)
    closing = asyncio.create_task(engine.aclose(60))
    await turns(1)
    with pytest.raises(EngineClosed):
        await anext(engine("finite"))
    assert await asyncio.gather(*finite) == [list(range(20))] * 10
    await until(lambda: len(waiting) == 3, "the endless streams wait")
    assert not closing.done()
    engine.close()
    await closing
    for stream in endless:
        assert await take(stream, 19) == list(range(1, 20))
        with pytest.raises(StreamCancelled) as caught:
            await anext(stream)
        assert caught.value.reason == "shutdown"
    assert sorted(seen, key=str) == [None] * 10 + ["shutdown"] * 3
    await engine.aclose()
    with pytest.raises(EngineClosed):
        await anext(engine("finite"))


@pytest.mark.guarantee("E-13")
async def test_nested_calls_go_on_while_their_root_drains(make_engine: EngineMaker) -> None:
    release: list[Any] = []

    async def handler(request: str) -> AsyncGenerator[str, None]:
        yield request
        if request == "outer":
            event = asyncio.Event()
            release.append((asyncio.get_running_loop(), event))
            await event.wait()
            yield await engine.call("inner")

    engine = make_engine(handler)
    stream = engine("outer")
    assert await anext(stream) == "outer"
    closing = asyncio.create_task(engine.aclose())
    await turns(2)
    for loop, event in release:
        loop.call_soon_threadsafe(event.set)
    assert await collect(stream) == ["inner"]
    await closing


@pytest.mark.guarantee("E-12")
async def test_closed_on_its_loop_an_engine_ends_calls_that_wait_for_a_place() -> None:
    async def handler(request: object) -> AsyncGenerator[int, None]:
        yield 1
        await asyncio.Event().wait()

    engine = PooledEngine(handler, worker="attached", flow=FlowConfig(max_concurrency=1))
    first = engine(None)
    await anext(first)
    waiting = asyncio.create_task(collect(engine(object())))
    await until(lambda: engine.stats().streams.queued == 1, "one waits")
    engine.close()
    for reader in (waiting, asyncio.create_task(collect(first))):
        with pytest.raises(StreamCancelled) as caught:
            await reader
        assert caught.value.reason == "shutdown"


@pytest.mark.guarantee("E-12")
def test_close_on_a_plain_thread_returns_after_the_endings() -> None:
    cleaned: list[int] = []

    async def handler(request: object) -> AsyncGenerator[int, None]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append(1)

    engine = PooledEngine(handler, worker="dedicated")
    stream = engine.iter(None)
    assert next(stream) == 1
    engine.close()
    engine.close()
    assert cleaned == [1]
    with pytest.raises(StreamCancelled):
        next(stream)


async def test_wait_for_streams_that_somebody_holds_is_logged(
    make_engine: EngineMaker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def waits(request: object) -> AsyncGenerator[int, None]:
        yield 0
        await asyncio.Event().wait()

    monkeypatch.setattr("pybridge.engine.PATIENCE", 0.02)
    engine = make_engine(waits)
    stream = engine(None)
    assert await anext(stream) == 0
    closing = asyncio.ensure_future(engine.aclose())
    await until(lambda: bool(reports(caplog)), "the wait is logged")
    assert not closing.done()
    assert "1 are live. One that was left half read" in caplog.text
    await stream.aclose()
    await closing
    assert len(reports(caplog)) == 1


@pytest.mark.guarantee("E-13")
async def test_closing_waits_no_longer_than_it_was_told(make_engine: EngineMaker) -> None:
    async def waits(request: object) -> AsyncGenerator[int, None]:
        yield 0
        await asyncio.Event().wait()

    engine = make_engine(waits)
    stream = engine(None)
    assert await anext(stream) == 0
    await engine.aclose(0.05)
    with pytest.raises(StreamCancelled, match="shutdown"):
        await anext(stream)


class Lifespan:
    """Notes when it is entered and left, and which streams were live then."""

    def __init__(self) -> None:
        self.log: list[str] = []

    @contextlib.asynccontextmanager
    async def __call__(self) -> AsyncIterator[str]:
        await asyncio.sleep(0)
        self.log.append("entered")
        yield "state"
        await asyncio.sleep(0)
        self.log.append("left")

    async def handler(self, request: str, context: Context) -> AsyncGenerator[Any, None]:
        try:
            yield context.state
            if request == "wait":
                await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            self.log.append("handler done")


@pytest.mark.guarantee("E-14")
async def test_lifespan_surrounds_all_streams(make_engine: EngineMaker) -> None:
    lifespan = Lifespan()
    engine = make_engine(lifespan.handler, lifespan=lifespan)
    assert await asyncio.gather(*(engine.call("go") for _ in range(5))) == ["state"] * 5
    stream = engine("wait")
    assert await anext(stream) == "state"
    await engine.aclose(0)
    assert lifespan.log == ["entered", *["handler done"] * 6, "left"]
    with pytest.raises(StreamCancelled):
        await anext(stream)


@pytest.mark.guarantee("E-14")
async def test_lifespan_that_fails_fails_the_calls_that_wait_for_it(make_engine: EngineMaker) -> None:
    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        attempts.append(1)
        if attempts:
            raise OSError("no model")
        yield

    attempts: list[int] = []
    engine = make_engine(many, lifespan=lifespan)
    for _ in range(2):
        with pytest.raises(OSError, match="no model"):
            await engine.call(None)
    assert attempts == [1, 1]


@pytest.mark.guarantee("S-10")
@pytest.mark.parametrize("exit_with", [SystemExit, KeyboardInterrupt])
async def test_exit_from_a_lifespan_is_contained_by_a_worker_of_its_own(exit_with: type[BaseException]) -> None:
    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        if not attempts:
            attempts.append(1)
            raise exit_with("enough")
        yield

    attempts: list[int] = []
    async with PooledEngine(many, lifespan=lifespan, worker="dedicated") as engine:
        with pytest.raises(HandlerExit, match="enough") as raised:
            await engine.call(None)
        assert isinstance(raised.value.__cause__, exit_with)
        assert await take(engine(None), 2) == [0, 1]


async def test_handler_that_would_wait_for_its_own_end_is_told(make_engine: EngineMaker) -> None:
    async def waits(how: str) -> AsyncGenerator[str, None]:
        yield "begun"
        if how == "nested":
            async for item in inner(None):
                yield item
        elif how == "task of its own":
            others.append(asyncio.ensure_future(outer.aclose()))
            yield "closing"
        else:
            await outer.aclose(None if how == "forever" else 0)

    async def closes_outer(_: object) -> AsyncGenerator[str, None]:
        async with outer:
            yield "nested"

    others: list[asyncio.Future[None]] = []
    outer = make_engine(waits)
    inner = make_engine(closes_outer)
    for how in ("forever", "nested"):
        with pytest.raises(RuntimeError, match="wait for its own end"):
            await collect(outer(how))
    assert await collect(outer("task of its own")) == ["begun", "closing"]
    await outer.aclose()
    outer = make_engine(waits)
    with pytest.raises(StreamCancelled, match="shutdown"):
        await collect(outer("at once"))


async def test_call_given_up_while_the_lifespan_is_entered_ends_at_once(make_engine: EngineMaker) -> None:
    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        entering.append((asyncio.get_running_loop(), event := asyncio.Event()))
        await event.wait()
        yield

    entering: list[Any] = []
    engine = make_engine(many, lifespan=lifespan, flow=FlowConfig(cancel_grace=1000))
    stream = engine(None)
    reader = asyncio.ensure_future(stream.__anext__())
    await until(lambda: entering, "the lifespan is being entered")
    await stream.aclose()
    with pytest.raises(StopAsyncIteration):
        await reader
    for loop, event in entering:
        loop.call_soon_threadsafe(event.set)
    assert (await take(engine(None), 1)) == [0]
    await engine.aclose(0)


class Hostile:
    """Calls back into engines from wherever Python code can run while it is encoded or freed."""

    def __init__(self, engine: PooledEngine) -> None:
        self.engine = engine

    def __del__(self) -> None:
        self.engine.stats()
        self.engine(None)


@pytest.mark.guarantee("E-23")
@pytest.mark.parametrize("batch", [1, 64])
async def test_encoding_hook_may_call_engines_and_start_streams(make_engine: EngineMaker, batch: int) -> None:
    started: list[asyncio.Task[Any]] = []

    def default(item: Hostile) -> Any:
        item.engine.stats()
        started.append(asyncio.ensure_future(collect(item.engine(3))))
        return {"hook": len(started)}

    async def simple(request: int) -> AsyncGenerator[int, None]:
        for number in range(request):
            yield number

    async def handler(request: object) -> AsyncGenerator[Any, None]:
        for number in range(50):
            yield [number, Hostile(inner), number]
        for task in started:
            assert await task == [0, 1, 2]

    from pybridge import MsgpackCodec

    inner = make_engine(simple)
    engine = make_engine(handler, codec=MsgpackCodec(default=default), flow=FlowConfig(batch_items=batch))
    assert await collect(engine(None)) == [[n, {"hook": n + 1}, n] for n in range(50)]


@pytest.mark.guarantee("E-23")
def test_threads_that_start_cancel_and_drop_streams_do_not_block_each_other() -> None:
    """The switch interval is as short as can be."""

    async def handler(request: int) -> AsyncGenerator[Any, None]:
        for number in range(request):
            yield {"n": number, "hook": Noisy()}
            if number % 3 == 0:
                await asyncio.sleep(0)

    class Noisy:
        def __del__(self) -> None:
            engine.stats()

    def use(worker: int) -> None:
        try:
            for number in range(25):
                stream = engine.iter(20)
                for _ in range((worker + number) % 20):
                    next(stream)
                if number % 2:
                    assert len(list(stream)) == 20 - (worker + number) % 20
                del stream
        except BaseException as error:
            failures.append(error)

    from pybridge import MsgpackCodec

    failures: list[BaseException] = []
    codec = MsgpackCodec(default=lambda noisy: [1])
    engine = PooledEngine(handler, worker="dedicated", codec=codec)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=functools.partial(use, number)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(15)
            assert not thread.is_alive(), "no progress"
    finally:
        sys.setswitchinterval(interval)
    assert not failures


@pytest.mark.parametrize("timeout", [-1.0, float("nan")])
async def test_time_to_wait_for_the_end_that_cannot_be_is_refused_before_anything_happens(timeout: float) -> None:
    engine = PooledEngine(many)
    with pytest.raises(ValueError, match="timeout"):
        engine.close(timeout)
    with pytest.raises(ValueError, match="timeout"):
        await engine.aclose(timeout)
    assert await take(engine(None), 1) == [0]
    await engine.aclose(float("inf"))
    with pytest.raises(EngineClosed):
        await anext(engine(None))


@pytest.mark.guarantee("P-11")
def test_subinterpreter_is_refused(run_python: Any) -> None:
    """By an `ImportError` that says so; the main interpreter goes on."""
    run_python(
        """
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        import pybridge

        async def handler(request):
            yield request

        engine = pybridge.PooledEngine(handler, worker="dedicated")
        assert list(engine.iter(1)) == [1]
        snippet = (
            "try: import pybridge\\n"
            "except ImportError as error: assert 'subinterpreter' in str(error), error\\n"
            "else: raise SystemError"
        )
        ident = interpreters.create()
        assert not (getattr(interpreters, "exec", None) or interpreters.run_string)(ident, snippet)
        interpreters.destroy(ident)
        assert list(engine.iter(2)) == [2]
        """
    )


class Bare(BaseException):
    """Nothing that a loop or the process is ended by."""


async def test_bare_exception_of_a_lifespan_that_is_entered_is_told_to_its_callers_only(
    make_engine: EngineMaker, caplog: pytest.LogCaptureFixture
) -> None:
    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        if engine.stats().streams.started:
            raise Bare
        yield

    engine = make_engine(many, lifespan=lifespan)
    with pytest.raises(Bare):
        await engine.call(None)
    await engine.aclose()
    gc.collect()  # asyncio would log what nobody took
    assert reports(caplog) == []


@pytest.mark.parametrize("kind", [ValueError, Bare])
async def test_lifespan_that_fails_to_be_left_is_logged_and_does_not_hold_up_the_end(
    make_engine: EngineMaker, caplog: pytest.LogCaptureFixture, kind: type[BaseException]
) -> None:
    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        yield
        raise kind("left badly")

    engine = make_engine(many, lifespan=lifespan, flow=FlowConfig(cancel_grace=1000), name="leaver")
    gc.disable()
    try:
        assert len(await collect(engine(None))) == 500
        await asyncio.wait_for(engine.aclose(), 10)
    finally:
        gc.enable()
    gc.collect()  # a failure that nobody took would be logged by asyncio now
    assert [(record.name, record.levelname, record.getMessage()) for record in caplog.records] == [
        ("pybridge.engine", "ERROR", "engine leaver: leaving its lifespan failed")
    ]
    assert caplog.records[0].exc_info is not None
    assert "left badly" in str(caplog.records[0].exc_info[1])


@pytest.mark.guarantee("M-12")
async def test_call_beyond_the_memory_for_requests_is_told_so(make_engine: EngineMaker) -> None:
    async def handler(request: str) -> AsyncGenerator[int, None]:
        yield len(request)
        await asyncio.Event().wait()

    engine = make_engine(handler, flow=FlowConfig(max_held_bytes=1000, max_queue=0))
    body = encode("x" * 2000)
    async with engine(body, encoded="msgpack") as first:
        assert await anext(first) == 2000
        said = r": 1 run and hold \d+ of 1000 bytes of requests \(max_held_bytes\), 0 of 0 wait \(max_queue\)$"
        with pytest.raises(Overloaded, match=said):
            await anext(engine(body, encoded="msgpack"))


@pytest.mark.guarantee("M-12")
async def test_waiting_request_may_start_when_another_turns_out_to_need_less_memory(make_engine: EngineMaker) -> None:
    async def handler(request: str) -> AsyncGenerator[int, None]:
        yield len(request)
        await asyncio.Event().wait()

    engine = make_engine(handler, flow=FlowConfig(max_held_bytes="1MiB"))
    body = encode("x" * 100_000)
    async with engine(body, encoded="msgpack") as first, engine(body, encoded="msgpack") as second:
        assert await anext(first) == 100_000
        assert await asyncio.wait_for(anext(second), 10) == 100_000


@skips.where("classes written in Python have a buffer from Python 3.12 on")
def test_call_whose_parent_is_cancelled_while_it_is_made_leaves_nothing_behind() -> None:
    class Body:
        def __init__(self, context: Context) -> None:
            self.context = context

        def __buffer__(self, flags: int) -> memoryview:
            self.context.cancel()
            # Another stream on the worker of the nested call: what was asked of that worker before is done.
            assert len(list(barrier.iter(None, parent=None))) == 500
            return memoryview(b"\x01")

    async def outer(request: object, context: Context) -> AsyncGenerator[list[int], None]:
        yield await asyncio.to_thread(lambda: list(inner.iter(Body(context), encoded="msgpack")))

    worker = Worker()
    inner, barrier = PooledEngine(many, worker=worker), PooledEngine(many, worker=worker)
    with pytest.raises(StreamCancelled):
        list(PooledEngine(outer, worker="dedicated").iter(None))
    wait_until(lambda: inner.stats().streams.started, "the nested call was made")
    wait_until(lambda: not inner.stats().streams.live, "no place is held")
