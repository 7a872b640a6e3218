"""However a process ends, it ends soon, quietly and with the right status."""

from __future__ import annotations

import time
from typing import Any

import pytest

SETUP = """
import asyncio, os, signal, sys, threading
from pybridge import PooledEngine

async def handler(request):
    try:
        while True:
            yield request
            await asyncio.sleep(0)
            if request == "wait":
                await asyncio.Event().wait()
    finally:
        pass

async def stubborn(request):
    while True:
        try:
            yield request
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass

async def busy(request):
    yield request
    await asyncio.sleep(0)
    while True:
        pass

async def deaf(request):
    import ctypes
    keeps = ctypes.PyDLL(None)
    keeps.system(b"kill -TERM $PPID")
    keeps.sleep(60)
    yield request

dedicated = PooledEngine(handler, worker="dedicated")
streams = [dedicated.iter(kind) for kind in ("wait", "go") for _ in range(5)]
for stream in streams:
    next(stream)

async def main():
    engine = PooledEngine(handler, worker="attached")
    global kept
    kept = [engine(kind) for kind in ("wait", "go")]
    for stream in kept:
        await anext(stream)

asyncio.run(main())
"""

WAYS = {
    "falls off the end": ("", 0, ""),
    "sys.exit": ("sys.exit(3)", 3, ""),
    "exception": ("raise KeyError('unhandled')", 1, "KeyError: 'unhandled'"),
    "os._exit": ("os._exit(4)", 4, ""),
    "SIGTERM": ("os.kill(os.getpid(), signal.SIGTERM)", -15, ""),
    "SIGTERM in a C call that keeps the interpreter": (
        "next(PooledEngine(deaf, worker='dedicated').iter(1))",
        -15,
        "",
    ),
    "streams dropped first": ("streams.clear()", 0, ""),
    "engine closed first": ("dedicated.close()", 0, ""),
    "a handler that will not stop": ("e = PooledEngine(stubborn, worker='dedicated'); s = e.iter(1); next(s)", 0, ""),
    "a handler that never waits": (
        "e = PooledEngine(busy, worker='dedicated'); s = e.iter(1); next(s)",
        0,
        "pybridge-worker stood still",
    ),
    "in a handler's thread": ("threading.Thread(target=lambda: next(streams[5])).start()", 0, ""),
}


@pytest.mark.guarantee("P-01")
@pytest.mark.parametrize("way", WAYS)
def test_process_ends_with_live_streams(run_python: Any, way: str) -> None:
    """A signal that nobody handles needs no interpreter."""
    code, status, stderr = WAYS[way]
    begun = time.monotonic()
    run_python(f"{SETUP}\n{code}\n", status=status, stderr=stderr)
    # Starting the interpreter under `-X dev` takes its part of this.
    assert time.monotonic() - begun < 6


@pytest.mark.guarantee("P-03")
def test_pybridge_works_in_exit_handlers_registered_after_its_import_and_is_closed_to_those_before(
    run_python: Any,
) -> None:
    output = run_python(
        """
        import asyncio, atexit

        async def read():
            return [item async for item in PooledEngine(handler)(1)]

        def use(when):
            try:
                print(when, asyncio.run(read()))
            except EngineClosed as refused:
                print(when, refused)

        atexit.register(use, "before:")
        from pybridge import EngineClosed, PooledEngine
        atexit.register(use, "after:")

        async def handler(request):
            yield request
        """
    )
    assert output == "after: [1]\nbefore: the interpreter is shutting down\n"


@pytest.mark.guarantee("P-03")
@pytest.mark.parametrize("used", [False, True])
def test_use_by_a_finaliser_of_a_module_is_refused_and_closing_is_not(run_python: Any, used: bool) -> None:
    output = run_python(
        """
        import sys, types
        from pybridge import EngineClosed, PooledEngine

        async def handler(request):
            yield request

        class Late:
            def __init__(self):
                self.engine = PooledEngine(handler, worker="dedicated")
                self.stream = self.engine.iter(1)

            def __del__(self, print=print, next=next, EngineClosed=EngineClosed, PooledEngine=PooledEngine):
                for use in [
                    lambda: next(self.stream),
                    lambda: self.engine.iter(1),
                    lambda: self.engine(1),
                    lambda: PooledEngine(handler),
                    self.engine.close,
                ]:
                    try:
                        use()
                        print("works")
                    except EngineClosed as refused:
                        print(refused)

        late = sys.modules["late"] = types.ModuleType("late")
        late.late = Late()
        if len(sys.argv) > 1:
            next(late.late.engine.iter(1))
        del late
        """,
        *(["used"] if used else []),
    )
    assert output == "the interpreter is shutting down\n" * 4 + "works\n"


@pytest.mark.guarantee("P-04")
def test_loops_that_end_with_live_streams_are_quiet(run_python: Any) -> None:
    run_python(
        """
        import asyncio, gc
        from pybridge import PooledEngine

        async def handler(request):
            try:
                while True:
                    yield request
                    await asyncio.sleep(0)
            finally:
                closed.append(1)

        async def main(worker):
            engine = engines[worker]
            streams = [engine(n) for n in range(10)]
            for stream in streams:
                await anext(stream)
            for stream in streams[:5]:
                kept.append(stream)

        closed, kept = [], []
        engines = {worker: PooledEngine(handler, worker=worker) for worker in ("attached", "dedicated")}
        for turn in range(100):
            asyncio.run(main("attached" if turn % 2 else "dedicated"))
            kept.clear()
            gc.collect()
        for engine in engines.values():
            engine.close()
        assert len(closed) == 1000, len(closed)
        """
    )
