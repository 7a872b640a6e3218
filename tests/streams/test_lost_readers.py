"""A cancelled read whose reader comes back loses nothing; one whose reader is gone ends the stream."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from pybridge import Context, FlowConfig, PooledEngine, Stream, StreamCancelled

from support.engines import EngineMaker
from support.waiting import turns, until


class Source:
    """A handler that gives its items when told to, from any thread, and notes how it ended."""

    def __init__(self) -> None:
        self.waiting = threading.Event()
        self.reasons: list[str | None] = []

    async def __call__(self, request: object, context: Context) -> AsyncGenerator[int, None]:
        self.loop = asyncio.get_running_loop()
        self.permits = asyncio.Semaphore(0)
        self.waiting.set()
        try:
            for number in range(100):
                await self.permits.acquire()
                yield number
        finally:
            self.reasons.append(context.cancel_reason)

    def give(self) -> None:
        self.loop.call_soon_threadsafe(self.permits.release)


async def begun(source: Source) -> None:
    await until(source.waiting.is_set, "the handler waits")


async def cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def away(seconds: float) -> None:
    """What a reader does between two reads."""
    await asyncio.sleep(seconds)


async def read(stream: Stream[int]) -> list[int]:
    return [item async for item in stream]


@pytest.mark.guarantee("C-11")
async def test_stream_ends_when_the_task_that_read_it_has_gone_though_its_iterator_is_kept(
    make_engine: EngineMaker,
) -> None:
    """Frameworks cancel the task of a response and keep its iterator."""
    source = Source()
    engine = make_engine(source, flow=FlowConfig(abandon_timeout=None))
    for stream in (engine(None), engine.frames(None), engine.chunks(None)):
        source.waiting.clear()
        task = asyncio.create_task(read(stream))  # type: ignore[arg-type]  # what it gives does not matter
        await begun(source)
        await turns(2)
        await cancelled(task)
        await until(lambda: source.reasons, "the handler was told")
        assert source.reasons.pop() == "caller"
        with pytest.raises(StreamCancelled) as caught:
            await anext(stream)
        assert caught.value.reason == "caller"


@pytest.mark.guarantee("C-11")
async def test_another_reader_may_take_over_from_a_task_that_has_gone() -> None:
    """The second reader then takes longer than the wait for one, which is over with its first read."""
    source = Source()
    stream = PooledEngine(source, worker="dedicated")(None)
    task = asyncio.create_task(read(stream))
    await begun(source)
    await turns(2)
    await cancelled(task)
    source.give()
    assert await anext(stream) == 0
    await away(1.5)  # the item is being worked on
    source.give()
    assert await anext(stream) == 1
    assert not source.reasons
    await stream.aclose()


@pytest.mark.guarantee("C-10")
async def test_reader_that_lives_may_come_back_after_any_time() -> None:
    """Only the end of the task counts, also after later reads of its that were not cancelled."""
    source = Source()
    stream = PooledEngine(source, worker="dedicated", flow=FlowConfig(abandon_timeout=0.01))(None)
    seen: list[int] = []
    go_on = asyncio.Event()

    async def reader() -> None:
        for _ in range(2):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.001):
                    await anext(stream)
            await asyncio.sleep(1.3)
        go_on.set()
        seen.append(await anext(stream))
        await asyncio.Event().wait()

    task = asyncio.create_task(reader())
    await go_on.wait()
    source.give()
    await until(lambda: seen == [0], "it has read")
    assert not source.reasons
    await cancelled(task)
    await until(lambda: source.reasons == ["caller"], "the stream has ended without its reader")


@pytest.mark.guarantee("C-10")
@pytest.mark.parametrize("blocks", [False, True])
async def test_heartbeat_loses_nothing_though_its_send_takes_three_seconds(blocks: bool) -> None:
    """`wait_for` reads in a task of its own on 3.11 and in the caller's from 3.12 on."""
    source = Source()
    sent: list[int | str] = []

    async def send(message: int | str) -> None:
        sent.append(message)
        if message == "heartbeat" and sent.count(message) == 1:
            if blocks:
                time.sleep(3)  # noqa: ASYNC251 - the send blocks the loop
            else:
                await asyncio.sleep(3)

    async def serve() -> None:
        async with PooledEngine(source, worker="dedicated")(None) as stream:
            while len([message for message in sent if message != "heartbeat"]) < 3:
                try:
                    await send(await asyncio.wait_for(anext(stream), 0.02))
                except TimeoutError:
                    await send("heartbeat")
                    source.give()

    await asyncio.create_task(serve())
    assert [message for message in sent if message != "heartbeat"] == [0, 1, 2]
    assert sent.count("heartbeat") >= 3


@pytest.mark.guarantee("C-12")
async def test_read_that_was_a_task_of_its_own_is_waited_for_by_the_setting() -> None:
    source = Source()
    stream = PooledEngine(source, worker="dedicated", flow=FlowConfig(abandon_timeout=1.5))(None)
    for number in range(3):
        task = asyncio.create_task(anext(stream))
        await begun(source)
        await turns(2)
        await cancelled(task)
        source.give()
        assert await asyncio.create_task(anext(stream)) == number
    await away(2)  # a read that was not cancelled is waited for without bound
    task = asyncio.create_task(anext(stream))
    await turns(2)
    await cancelled(task)
    began = time.monotonic()
    await until(lambda: source.reasons, "the stream has ended")
    assert source.reasons == ["caller"]
    assert time.monotonic() - began > 1


@pytest.mark.guarantee("C-12")
async def test_without_the_setting_a_read_of_its_own_may_come_back_at_any_time() -> None:
    source = Source()
    stream = PooledEngine(source, worker="dedicated", flow=FlowConfig(abandon_timeout=None))(None)
    task = asyncio.create_task(anext(stream))
    await begun(source)
    await turns(2)
    await cancelled(task)
    await away(1.5)
    source.give()
    assert await anext(stream) == 0
    await stream.aclose()


@pytest.mark.guarantee("C-11")
def test_stream_whose_readers_loop_is_closed_ends_though_it_is_kept(loop_factory: Any) -> None:
    """The loop ends with its reader; there is nobody whom a decision could wait for."""
    source = Source()
    stream = PooledEngine(source, worker="dedicated")(None)

    async def main() -> None:
        task = asyncio.create_task(read(stream))
        await begun(source)
        await turns(2)
        await cancelled(task)

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(until(lambda: source.reasons == ["caller"], "the stream has ended"))


async def test_task_that_reads_many_streams_is_watched_once(make_engine: EngineMaker) -> None:
    """What a task that lives long has read is not kept."""
    source = Source()
    engine = make_engine(source)
    added: list[object] = []

    class Watched(asyncio.Task[Any]):
        def add_done_callback(self, callback: Any, **options: Any) -> None:
            added.append(callback)
            super().add_done_callback(callback, **options)

    async def reader() -> None:
        for _ in range(20):
            async with engine(None) as stream:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.001):
                        await anext(stream)

    await Watched(reader())
    callbacks = [callback for callback in added if type(callback).__module__ == "pybridge._pybridge"]
    assert len(callbacks) == 1


@pytest.mark.guarantee("C-06")
@pytest.mark.parametrize("reason", ["caller", "client"])
async def test_server_says_that_its_peer_has_gone(make_engine: EngineMaker, reason: Any) -> None:
    source = Source()
    engine = make_engine(source)
    async with engine(None) as stream:
        task = asyncio.create_task(anext(stream))
        await begun(source)
        await cancelled(task)
        await stream.aclose(reason=reason)
    assert source.reasons == [reason]
    assert engine.stats().streams.cancelled[reason] == 1


@pytest.mark.parametrize("reason", ["shutdown", "", "Client", 3, None])
async def test_stream_is_closed_with_two_reasons_only(make_engine: EngineMaker, reason: Any) -> None:
    stream = make_engine(Source())(None)
    with pytest.raises(ValueError, match="reason: must be 'caller' or 'client', not "):
        await stream.aclose(reason)
