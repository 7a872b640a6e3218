"""A process ends in good order however many of its threads are below pybridge when the interpreter goes."""

from __future__ import annotations

import textwrap
import time
from typing import Any

import pytest

SETUP = """
import asyncio, atexit, contextlib, dataclasses, functools, gc, json, signal, sys, threading, time, types
from pybridge import MsgpackCodec, PooledEngine, StreamCancelled, Worker, decode, encode

class Slow:
    '''Takes its time to be freed, with the interpreter given away: threads come back for it meanwhile.'''
    def __init__(self, seconds):
        self.seconds = seconds
    def __del__(self, sleep=time.sleep):
        sleep(self.seconds)

def keep_until_the_end(thing):
    '''In a module of its own: what the threads run keeps the variables of this one.'''
    kept = sys.modules.setdefault("kept", types.ModuleType("kept"))
    setattr(kept, f"thing_{id(thing)}", thing)

class Unknown:
    pass

begun = threading.Event()

def pause(*_):
    begun.set()
    time.sleep(0.001)

def forever(act, wait=True):
    def run():
        with contextlib.suppress(StreamCancelled):
            while True:
                act()
    threading.Thread(target=run, daemon=True).start()
    wait and begun.wait()
"""

EXIT = """
keep_until_the_end(Slow(0.3))
print(time.monotonic(), flush=True)
"""

HOOK = "codec = MsgpackCodec(default=pause); forever(lambda: encode([Unknown()] * 5, codec=codec))"

CALLERS = {
    "a hook of an encoding": HOOK,
    "a finaliser of what a hook gave": """
        def hook(_):
            begun.set()
            return [Slow(0.001)]
        codec = MsgpackCodec(default=lambda value: hook(value) if type(value) is Unknown else 1)
        forever(lambda: encode([Unknown()] * 5, codec=codec))
    """,
    "a property": """
        @dataclasses.dataclass
        class Item:
            value: int
        item = Item(1)
        Item.value = property(pause)
        del item.__dict__["value"]
        forever(lambda: encode([item] * 5))
    """,
    "a collection while values are made": """
        class Cycle(Slow):
            def __init__(self):
                super().__init__(0.001)
                self.itself = self
        text = json.dumps([{"a": []}] * 100).encode()
        def decodes():
            Cycle()
            begun.set()
            decode(text, codec="json")
        gc.set_threshold(50)
        forever(decodes)
    """,
    "iter": """
        async def handler(request):
            while True:
                begun.set()
                yield request
                await asyncio.sleep(0)
        stream = PooledEngine(handler, worker="dedicated").iter(1)
        forever(lambda: next(stream))
    """,
    "iter of a handler that makes no item": """
        async def handler(request):
            begun.set()
            await asyncio.Event().wait()
            yield request
        stream = PooledEngine(handler, worker="dedicated").iter(1)
        forever(lambda: next(stream))
    """,
    "the destructor of a stream that was never read": """
        class Request(Slow):
            def __del__(self):
                begun.set()
                super().__del__()
        async def handler(request):
            yield request
        streams = [PooledEngine(handler)(Request(0.2))]
        threading.Thread(target=streams.clear, daemon=True).start()
        begun.wait()
    """,
    "an attached loop whose handler swallows its cancel": """
        async def handler(request):
            while True:
                try:
                    pause()
                    yield request
                    await asyncio.sleep(0)
                except asyncio.CancelledError:
                    pass
        async def read():
            async for _ in PooledEngine(handler, worker="attached")(1):
                pass
        forever(lambda: asyncio.run(read()))
    """,
    "many dedicated handlers that block": """
        started = threading.Semaphore(0)
        async def handler(request):
            started.release()
            time.sleep(60)
            yield request
        for number in range(20):
            stream = PooledEngine(handler, worker=Worker(name=f"worker-{number}")).iter(1)
            forever(functools.partial(next, stream), wait=False)
        for number in range(20):
            started.acquire()
    """,
    "a dedicated handler that blocks, with a large heap": """
        async def handler(request):
            begun.set()
            time.sleep(2.9)
            yield request
        gc.disable()
        heap = [[] for _ in range(500_000)]
        stream = PooledEngine(handler, worker="dedicated").iter(1)
        forever(lambda: next(stream))
    """,
}

ENDS = {
    "falls off the end": ("", 0, ""),
    "sys.exit": ("sys.exit(3)", 3, ""),
    "exception": ("raise KeyError('unhandled')", 1, "KeyError: 'unhandled'"),
    "SIGTERM": ("signal.raise_signal(signal.SIGTERM)", -15, ""),
    "SIGTERM with a handler": (
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5)); signal.raise_signal(signal.SIGTERM)",
        5,
        "",
    ),
    "slow exit handler": ("atexit.register(time.sleep, 1)", 0, ""),
    "slow finaliser": ("keep_until_the_end(Slow(1))", 0, ""),
    "slow collection": ("gc.disable(); cycle = [Slow(1)]; cycle.append(cycle); del cycle", 0, ""),
}

LONGEST = 12.0
"""Seconds: four times what is promised, for loaded machines."""


def end(run_python: Any, caller: str, code: str, status: int, stderr: str) -> float:
    """The seconds from the last line of the program to its end."""
    output = run_python(SETUP + textwrap.dedent(caller) + EXIT + code, status=status, stderr=stderr)
    return time.monotonic() - float(output)


@pytest.mark.guarantee("P-02")
@pytest.mark.parametrize("caller", CALLERS)
def test_process_ends_while_a_thread_is_below_pybridge(run_python: Any, caller: str) -> None:
    assert end(run_python, CALLERS[caller], "sys.exit(4)", 4, "") < LONGEST


@pytest.mark.guarantee("P-02")
@pytest.mark.parametrize("way", ENDS)
def test_exit_status_is_kept_while_a_thread_is_below_pybridge(run_python: Any, way: str) -> None:
    assert end(run_python, HOOK, *ENDS[way]) < LONGEST
