"""Signals do to a program that streams what they do to one that does not."""

from __future__ import annotations

import pytest

from support.processes import PythonRunner


@pytest.mark.guarantee("P-09")
@pytest.mark.parametrize("worker", ["attached", "dedicated"])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_interrupt_of_a_stream_is_what_asyncio_makes_of_it(run_python: PythonRunner, worker: str, loop: str) -> None:
    """The main task is cancelled, the handlers clean up, `run` raises `KeyboardInterrupt`."""
    printed = run_python(
        """
        import asyncio, os, signal, sys
        from pybridge import PooledEngine
        import uvloop

        signal.signal(signal.SIGINT, signal.default_int_handler)  # where pytest runs in the background it is ignored

        async def handler(request):
            try:
                yield request
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                print("cleaned", request)

        async def main():
            async with PooledEngine(handler, worker=sys.argv[1]) as engine, engine(1) as stream:
                assert await anext(stream) == 1
                os.kill(os.getpid(), signal.SIGINT)
                try:
                    await anext(stream)
                except asyncio.CancelledError:
                    print("cancelled")
                    raise

        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop if sys.argv[2] == "uvloop" else None) as runner:
                runner.run(main())
        except KeyboardInterrupt:
            print("interrupted")
        """,
        worker,
        loop,
    )
    assert printed.split("\n") == ["cancelled", "cleaned 1", "interrupted", ""]


@pytest.mark.guarantee("P-09")
def test_interrupt_ends_blocking_iteration(run_python: PythonRunner) -> None:
    """Where it is caught the stream can be read on, else the process ends as one that was interrupted."""
    run_python(
        """
        import asyncio, os, signal
        from pybridge import PooledEngine

        signal.signal(signal.SIGINT, signal.default_int_handler)

        class Gate:
            def __init__(self):
                self.loop, self.event = asyncio.get_running_loop(), asyncio.Event()
            def open(self):
                self.loop.call_soon_threadsafe(self.event.set)

        async def handler(request):
            kill[request], go_on[request] = Gate(), Gate()
            yield 1
            await kill[request].event.wait()
            os.kill(os.getpid(), signal.SIGINT)
            await go_on[request].event.wait()
            yield 2

        kill, go_on = {}, {}
        engine = PooledEngine(handler, worker="dedicated")
        items = engine.iter("caught")
        assert next(items) == 1
        try:
            kill["caught"].open()
            next(items)
        except KeyboardInterrupt:
            go_on["caught"].open()
        assert list(items) == [2]
        items = engine.iter("not caught")
        assert next(items) == 1
        kill["not caught"].open()
        next(items)
        """,
        status=-2,
        stderr="KeyboardInterrupt",
    )


@pytest.mark.guarantee("P-10")
def test_no_signal_handler_is_installed(run_python: PythonRunner) -> None:
    """Neither by the import, nor by use, nor by closing."""
    run_python(
        """
        import asyncio, signal

        def handlers():
            return {number: signal.getsignal(number) for number in signal.valid_signals()}

        before = handlers()
        import pybridge
        assert handlers() == before

        async def handler(request):
            yield request

        async def main():
            async with pybridge.PooledEngine(handler) as engine:
                assert await engine.call(1, timeout=5) == 1

        with pybridge.PooledEngine(handler, worker="dedicated") as engine:
            assert list(engine.iter(1)) == [1]
            assert handlers() == before
        asyncio.run(main())
        assert handlers() == before
        assert signal.set_wakeup_fd(-1) == -1
        """
    )
