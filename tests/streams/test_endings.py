"""Ways out of a stream, in every phase: each is exactly one ending, and nothing stays live."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from pybridge import Context, FlowConfig, PooledEngine, StreamCancelled

from support.engines import EngineMaker
from support.waiting import until

Act = Callable[[], object]
ONE_AT_A_TIME = FlowConfig(max_concurrency=1, max_queue=0)


class Odd(BaseException):
    """What no `except Exception` catches."""


async def items(act: Act | None = None, before: int = 0, *, waits: bool = False) -> AsyncGenerator[int, None]:
    """Yields so many items, then acts."""
    for number in range(before):
        yield number
    if waits:
        await asyncio.sleep(0)
    if act:
        act()


class Iterator:
    """An async iterator that is no generator, and acts in one of its methods."""

    def __init__(self, act: Act, where: str) -> None:
        self.act, self.where = act, where

    def __aiter__(self) -> Iterator:
        if self.where == "aiter":
            self.act()
        return self

    def __anext__(self) -> Awaitable[int]:
        if self.where == "anext call":
            self.act()
        return self.next()

    async def next(self) -> int:
        await asyncio.sleep(0)
        self.act()
        raise StopAsyncIteration


async def returning(act: Act) -> AsyncIterator[int]:
    await asyncio.sleep(0)
    act()
    return items()


async def one_value(act: Act) -> str:
    await asyncio.sleep(0)
    act()
    return "value"


class Handler:
    def __call__(self, act: Act) -> AsyncGenerator[int, None]:
        act()
        return items()


def acting_at_the_call(act: Act) -> AsyncGenerator[int, None]:
    act()
    return items()


def acting_at_the_unary_call(act: Act) -> Awaitable[str]:
    act()
    return one_value(act)


PHASES: dict[str, Callable[[Act], Any]] = {
    "call": acting_at_the_call,
    "call of an object": Handler(),
    "coroutine": returning,
    "aiter": lambda act: Iterator(act, "aiter"),
    "anext call": lambda act: Iterator(act, "anext call"),
    "anext": lambda act: Iterator(act, "anext"),
    "generator": items,
    "generator after items": lambda act: items(act, 2),
    "generator after a wait": lambda act: items(act, 1, waits=True),
    "unary call": acting_at_the_unary_call,
    "unary": one_value,
}
ERRORS: list[BaseException] = [
    ValueError("text"),
    StopIteration("value"),
    StopAsyncIteration("value"),
    GeneratorExit("text"),
    Odd("text"),
    asyncio.CancelledError(),
]


async def read(stream: AsyncIterator[object]) -> BaseException | None:
    """Reads to the end; the exception that ended it, if any."""
    try:
        async for _ in stream:
            pass
    except BaseException as error:
        return error
    return None


def iterate(engine: PooledEngine) -> BaseException | None:
    """Reads to the end on a thread without a loop; the exception that ended it, if any."""
    try:
        for _ in engine.iter(None):
            pass
    except BaseException as error:
        return error
    return None


def expected(phase: str, error: BaseException) -> type[BaseException] | None:
    """What the consumer gets for `error`; `None`: a clean end, which a plain `async for` sees as well."""
    if isinstance(error, asyncio.CancelledError):
        return StreamCancelled
    if isinstance(error, StopAsyncIteration) and phase in ("anext call", "anext"):
        return None
    if isinstance(error, StopIteration | StopAsyncIteration):
        return RuntimeError
    return type(error)


def assert_ending(phase: str, error: BaseException, ending: BaseException | None) -> None:
    kind = expected(phase, error)
    assert (None if ending is None else type(ending)) is kind, ending
    if kind is RuntimeError:
        assert ending
        assert type(ending.__cause__) is type(error)
    elif kind is type(error):
        assert ending is error


def assert_one_ending_each(engine: PooledEngine, calls: int) -> None:
    streams = engine.stats().streams
    assert streams.live == 0
    assert streams.started == calls == streams.finished + streams.raised + sum(streams.cancelled.values())


class Script:
    """A handler that acts in one phase: raises `error`, or does nothing."""

    def __init__(self, phase: str) -> None:
        self.make = PHASES[phase]
        self.error: BaseException | None = None
        self.requests: list[object] = []

    def handle(self, request: object) -> Any:
        self.requests.append(request)
        return self.make(self.act)

    def act(self) -> None:
        if self.error is not None:
            raise self.error


@pytest.mark.guarantee("S-03", "S-05", "S-12")
@pytest.mark.parametrize("phase", PHASES)
async def test_error_in_any_phase_is_one_ending_and_the_place_is_free(make_engine: EngineMaker, phase: str) -> None:
    script = Script(phase)
    engine = make_engine(script.handle, unary=phase.startswith("unary"), flow=ONE_AT_A_TIME)
    for error in ERRORS:
        for form in (engine, engine.frames, engine.chunks):
            script.error = error
            assert_ending(phase, error, await read(form(None)))
            script.error = None
            assert await read(form(None)) is None
    assert_one_ending_each(engine, len(ERRORS) * 6)


@pytest.mark.guarantee("S-03", "S-05")
@pytest.mark.parametrize("phase", PHASES)
def test_error_in_any_phase_ends_a_blocking_iterator(phase: str) -> None:
    script = Script(phase)
    engine = PooledEngine(script.handle, unary=phase.startswith("unary"), flow=ONE_AT_A_TIME)
    for error in ERRORS:
        script.error = error
        assert_ending(phase, error, iterate(engine))
        script.error = None
        assert iterate(engine) is None
    assert_one_ending_each(engine, len(ERRORS) * 2)


@pytest.mark.parametrize("phase", ["call", "coroutine", "unary call", "unary"])
async def test_error_of_a_handler_called_with_an_encoded_request_arrives(make_engine: EngineMaker, phase: str) -> None:
    script = Script(phase)
    script.error = KeyError("model")
    engine = make_engine(script.handle, unary=phase.startswith("unary"), flow=ONE_AT_A_TIME)
    for _ in range(2):
        assert await read(engine(b'{"prompt": 1}', encoded="json")) is script.error
    with pytest.raises(KeyError):
        await engine.call(b'{"prompt": 1}', encoded="json")
    assert script.requests == [{"prompt": 1}] * 3
    assert engine.stats().errors == {"KeyError": 3}
    assert_one_ending_each(engine, 3)


class Waits:
    """A handler that waits in one phase until it is cancelled, and notes what it felt."""

    def __init__(self, phase: str) -> None:
        self.phase = phase
        self.reached = threading.Event()
        self.felt: list[BaseException] = []
        self.task: asyncio.Task[object] | None = None

    def handle(self, request: object, context: Context) -> Any:
        self.context = context
        self.loop = asyncio.get_running_loop()
        return self.coroutine() if self.phase == "coroutine" else self.items()

    async def coroutine(self) -> AsyncGenerator[object, None]:
        await self.wait()
        return self.items()

    async def items(self) -> AsyncGenerator[object, None]:
        match self.phase:
            case "wait":
                await self.wait()
            case "wait after items":
                yield 1
                await self.wait()
            case "yield":
                self.note()
                try:
                    while True:
                        yield bytes(1000)
                except BaseException as error:
                    self.felt.append(error)
                    raise

    async def wait(self) -> None:
        self.note()
        try:
            await asyncio.Event().wait()
        except BaseException as error:
            self.felt.append(error)
            raise

    def note(self) -> None:
        self.task = asyncio.current_task()
        self.reached.set()

    def cancel_task(self) -> None:
        assert self.task
        self.loop.call_soon_threadsafe(self.task.cancel)


async def stop(reason: str, engine: PooledEngine, waits: Waits) -> None:
    """Gives the stream of a handler that waits its reason to end; for what is on a clock the clock does."""
    await until(waits.reached.is_set, "the handler waits")
    match reason:
        case "caller":
            waits.context.cancel()
        case "shutdown":
            engine.close()
        case "external":
            waits.cancel_task()


def assert_cancelled_once(engine: PooledEngine, waits: Waits, reason: str) -> None:
    counts = engine.stats().streams.cancelled
    assert {name: count for name, count in counts.items() if count} == {reason: 1}
    assert [type(error) for error in waits.felt] == [asyncio.CancelledError]
    assert_one_ending_each(engine, 1)


@pytest.mark.guarantee("S-03", "C-06")
@pytest.mark.parametrize(
    ("phase", "reason"),
    [
        (phase, reason)
        for reason in ("caller", "deadline", "idle", "shutdown", "external", "slow_consumer")
        for phase in ("coroutine", "wait", "wait after items", "yield")
        # The idle time does not run while credit is awaited, and the write time only then.
        if reason not in ("idle", "slow_consumer") or (reason == "slow_consumer") == (phase == "yield")
    ],
)
async def test_cancellation_in_any_phase_is_one_ending_with_its_reason(
    make_engine: EngineMaker, phase: str, reason: str
) -> None:
    waits = Waits(phase)
    flow = FlowConfig(high_water_items=4, write_timeout=0.1 if reason == "slow_consumer" else None)
    engine = make_engine(waits.handle, flow=flow)
    stream = engine(None)
    if reason == "deadline":
        stream = engine(None, timeout=0.2)
    elif reason == "idle":
        stream = engine(None, idle_timeout=0.2)
    async with stream:
        await stop(reason, engine, waits)
        if phase == "yield":
            await until(lambda: engine.stats().streams.live == 0, "the handler has ended")
        ending = await read(stream)
    assert isinstance(ending, StreamCancelled)
    assert ending.reason == reason
    assert_cancelled_once(engine, waits, reason)


@pytest.mark.guarantee("C-13")
@pytest.mark.parametrize("phase", ["coroutine", "wait", "wait after items", "yield"])
async def test_end_of_the_parent_cancels_a_nested_stream_in_any_phase(make_engine: EngineMaker, phase: str) -> None:
    waits = Waits(phase)
    engine = make_engine(waits.handle, flow=FlowConfig(high_water_items=4))

    async def outer(request: object) -> AsyncGenerator[object, None]:
        async with engine(None):
            await asyncio.Event().wait()
        yield None

    parent = make_engine(outer)
    reader = asyncio.create_task(read(parent(None)))
    await stop("parent", engine, waits)
    parent.close()
    assert isinstance(await reader, StreamCancelled)
    await until(lambda: engine.stats().streams.live == 0, "the nested stream has ended")
    assert_cancelled_once(engine, waits, "parent")
