"""`from_sync`: plain generators as handlers, each stream on a thread of its own."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import inspect
import logging
import sys
import threading
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest

from pybridge.from_sync import from_sync

from support.consumers import collect, take
from support.waiting import until, wait_until

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


@pytest.fixture(autouse=True)
def threads_end() -> Iterator[None]:
    yield
    wait_until(lambda: not sync_threads(), "all threads of streams ended")


def sync_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("pybridge-sync-")]


def count(request: int) -> Iterator[int]:
    yield from range(request)


async def test_items_arrive_in_order_and_the_thread_ends() -> None:
    assert await collect(from_sync(count)(1000)) == list(range(1000))


@pytest.mark.guarantee("H-06")
async def test_one_thread_of_its_own_makes_all_items_of_a_stream() -> None:
    def handler(request: object) -> Iterator[threading.Thread]:
        for _ in range(3):
            yield threading.current_thread()

    first, second = from_sync(handler)(None), from_sync(handler)(None)
    threads = [await anext(first), await anext(second), *await collect(first), *await collect(second)]
    assert len(set(threads)) == 2
    assert threading.current_thread() not in threads


@pytest.mark.guarantee("H-06")
async def test_handler_makes_one_item_per_demand() -> None:
    made: list[int] = []

    def handler(request: object) -> Iterator[dict[str, int]]:
        item = {"n": 0}
        for number in range(10):
            item["n"] = number
            made.append(number)
            yield item

    stream = from_sync(handler)(None)
    assert await take(stream, 2) == [{"n": 1}, {"n": 1}]
    assert made == [0, 1]
    await stream.aclose()


@pytest.mark.guarantee("H-13")
async def test_handler_sees_the_context_variables_of_its_stream_and_keeps_its_own_changes() -> None:
    def handler(request: object) -> Iterator[str]:
        yield variable.get()
        variable.set("changed")
        yield variable.get()

    variable.set("caller")
    assert await collect(from_sync(handler)(None)) == ["caller", "changed"]
    assert variable.get() == "caller"


@pytest.mark.guarantee("S-04")
async def test_exception_of_the_handler_arrives_as_the_same_object_with_its_line() -> None:
    error = KeyError("lost")

    def handler(request: object) -> Iterator[int]:
        yield 1
        raise error

    stream = from_sync(handler)(None)
    assert await anext(stream) == 1
    with pytest.raises(KeyError) as caught:
        await anext(stream)
    assert caught.value is error
    assert caught.traceback[-1].name == "handler"


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), MemoryError()], ids=repr)
async def test_base_exception_of_the_handler_belongs_to_the_stream(error: BaseException) -> None:
    def handler(request: object) -> Iterator[int]:
        if request is None:
            raise error
        yield 1

    with pytest.raises(type(error)) as caught:
        await anext(from_sync(handler)(None))
    assert caught.value is error


@pytest.mark.guarantee("S-05")
@pytest.mark.parametrize("error", [StopIteration, StopAsyncIteration])
async def test_stop_iteration_raised_by_the_handler_is_no_clean_end(error: type[Exception]) -> None:
    def handler(request: object) -> Iterator[int]:
        yield 1
        raise error

    with pytest.raises(RuntimeError):
        await collect(from_sync(handler)(None))


@pytest.mark.guarantee("H-07")
async def test_cancelled_while_an_item_is_made_the_stream_ends_at_the_next_yield() -> None:
    """No overlap of next and close, however long the item takes."""
    making, go_on, closed = threading.Event(), threading.Event(), threading.Event()

    def handler(request: object) -> Iterator[int]:
        try:
            making.set()
            assert go_on.wait(10)
            yield 1
            pytest.fail("resumed after the cancel")
        finally:
            closed.set()

    consumer = asyncio.create_task(collect(from_sync(handler)(None)))
    await until(making.is_set, "the handler makes its item")
    consumer.cancel()
    await asyncio.sleep(0)
    assert not closed.is_set()
    assert not consumer.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await consumer
    assert closed.is_set()


@pytest.mark.guarantee("H-07")
async def test_event_is_set_as_soon_as_the_stream_is_cancelled() -> None:
    waiting = threading.Event()

    def handler(request: object, cancelled: threading.Event) -> Iterator[int]:
        waiting.set()
        assert cancelled.wait(10)
        yield 1

    consumer = asyncio.create_task(collect(from_sync(handler)(None)))
    await until(waiting.is_set, "the handler waits for the event")
    consumer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consumer


async def test_closed_at_a_yield_the_handler_runs_its_cleanup_before_aclose_returns() -> None:
    log: list[str] = []

    def handler(request: object) -> Iterator[int]:
        try:
            yield 1
        except GeneratorExit:
            log.append("exit")
            raise
        finally:
            log.append(threading.current_thread().name)

    stream = from_sync(handler)(None)
    await anext(stream)
    await stream.aclose()
    assert log[0] == "exit"
    assert log[1].startswith("pybridge-sync-")


async def test_exception_in_the_cleanup_is_raised_by_aclose() -> None:
    def handler(request: object) -> Iterator[int]:
        try:
            yield 1
        finally:
            raise OSError("cleanup")

    stream = from_sync(handler)(None)
    await anext(stream)
    with pytest.raises(OSError, match="cleanup"):
        await stream.aclose()


async def test_stream_that_is_never_advanced_starts_no_thread_and_calls_no_handler() -> None:
    def handler(request: object) -> Iterator[int]:
        pytest.fail("called")

    stream = from_sync(handler)(None)
    assert not sync_threads()
    await stream.aclose()


async def test_error_after_a_second_cancel_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    making, go_on = threading.Event(), threading.Event()

    def handler(request: object) -> Iterator[int]:
        making.set()
        assert go_on.wait(10)
        if request is None:
            raise ValueError("late")
        yield 1

    consumer = asyncio.create_task(collect(from_sync(handler)(None)))
    await until(making.is_set, "the handler makes its item")
    for _ in range(2):
        consumer.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await consumer
    go_on.set()
    await until(lambda: "late" in caplog.text, "the late error is logged")
    assert [record.levelno for record in caplog.records if record.name == "pybridge.from_sync"] == [logging.WARNING]


def test_thread_ends_when_its_loop_is_closed_under_it() -> None:
    making, go_on, closed = threading.Event(), threading.Event(), threading.Event()

    def handler(request: object) -> Iterator[int]:
        try:
            making.set()
            assert go_on.wait(10)
            yield 1
        finally:
            closed.set()

    loop = asyncio.new_event_loop()
    try:
        task = loop.create_task(collect(from_sync(handler)(None)))
        loop.run_until_complete(until(making.is_set, "the handler makes its item"))
        for _ in range(2):
            task.cancel()
            loop.run_until_complete(asyncio.sleep(0))
        loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    finally:
        loop.close()
    go_on.set()
    assert closed.wait(10)


def test_thread_that_waits_for_demand_ends_when_its_loop_is_closed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys.modules["pybridge.from_sync"], "LOOP_CHECK", 0.02)

    def handler(request: int) -> Iterator[int]:
        try:
            yield request
        finally:
            raise ValueError("late")

    async def first() -> tuple[AsyncGenerator[int, None], int]:
        stream = from_sync(handler)(7)
        return stream, await anext(stream)

    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)
    stream, item = loop.run_until_complete(first())
    assert item == 7
    loop.close()
    wait_until(lambda: not sync_threads(), "the thread ends though nobody asks it to")
    assert "the handler raised after its event loop was closed" in caplog.text
    del stream


async def test_failed_stream_leaves_no_reference_cycle(collector_off: None) -> None:
    class Request:
        pass

    def handler(request: Request) -> Iterator[int]:
        yield 1
        raise ValueError

    async def fail() -> None:
        with pytest.raises(ValueError):  # noqa: PT011 - raised right above
            await collect(from_sync(handler)(Request()))

    await fail()
    wait_until(lambda: not sync_threads(), "the thread ended")
    assert [thing for thing in gc.get_objects() if isinstance(thing, Request)] == []


class Handlers:
    def method(self, request: int) -> Iterator[int]:
        yield from range(request)

    def __call__(self, request: int) -> Iterator[int]:
        yield from range(request)

    @staticmethod
    def static(request: int) -> Iterator[int]:
        yield from range(request)


def decorated() -> Any:
    @functools.wraps(count)
    def wrapper(*arguments: Any) -> Iterator[int]:
        return count(*arguments)

    return wrapper


@pytest.mark.parametrize(
    "handler",
    [
        Handlers().method,
        Handlers(),
        Handlers.static,
        functools.partial(count),
        decorated(),
        lambda request: [0, 1, 2],
        range,
    ],
    ids=["method", "callable", "static", "partial", "wrapped", "list", "class"],
)
async def test_every_kind_of_callable_that_gives_an_iterable_is_a_handler(handler: Any) -> None:
    if inspect.isclass(handler):
        with pytest.raises(TypeError, match="range"):
            from_sync(handler)  # type: ignore[arg-type]  # mypy narrows it to a class
    else:
        assert await collect(from_sync(handler)(3)) == [0, 1, 2]


async def asynchronous(request: object) -> Any:
    yield request


async def unary(request: object) -> Any:
    return request


@pytest.mark.parametrize("wrong", [asynchronous, unary, count(1), None, "count", int])
def test_what_is_no_synchronous_handler_is_refused_by_name(wrong: Any) -> None:
    with pytest.raises(TypeError) as caught:
        from_sync(wrong)
    assert getattr(wrong, "__qualname__", type(wrong).__name__) in str(caught.value)


def with_context(request: object, *, context: str, cancelled: threading.Event) -> Iterator[str]:
    """Says its context."""
    yield context


async def test_context_is_passed_on_and_the_event_is_no_part_of_the_signature() -> None:
    stream = from_sync(with_context)
    assert list(inspect.signature(stream).parameters) == ["request", "context"]
    assert (stream.__name__, stream.__doc__) == ("with_context", "Says its context.")
    assert await collect(stream(None, context="here")) == ["here"]
