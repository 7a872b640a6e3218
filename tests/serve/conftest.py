"""Programs that serve: each test starts its own, and none outlives it."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import serving
from support.serving import Program, Starter

APP = '''
    import asyncio, contextlib, ctypes, os, sys
    from pybridge import PooledEngine

    async def echo(request):
        yield request

    async def answer(request):
        return {"answer": request}

    async def describe(request, context):
        loop = type(asyncio.get_running_loop()).__module__
        yield {"metadata": dict(context.metadata), "loop": loop, "pid": os.getpid()}

    async def paced(request, context):
        """Gives some items, or goes on for ever; tells how it ends."""
        count = request["count"]
        try:
            for number in range(count) if count else iter(int, 1):
                yield {"n": number}
                await asyncio.sleep(request["each"])
        except asyncio.CancelledError:
            print(f"cancelled: {context.cancel_reason}", file=sys.stderr, flush=True)
            raise

    async def stuck(request):
        """Holds the interpreter for a minute."""
        print("stuck", file=sys.stderr, flush=True)
        yield ctypes.PyDLL(None).usleep(60_000_000)

    @contextlib.asynccontextmanager
    async def lifespan():
        print("entered", file=sys.stderr, flush=True)
        yield
        print("left", file=sys.stderr, flush=True)

    engine = PooledEngine(echo, lifespan=lifespan, name="echoes")

    @contextlib.asynccontextmanager
    async def failing():
        raise FileNotFoundError("no weights\\nat all")
        yield

    broken = PooledEngine(echo, lifespan=failing)

    @contextlib.asynccontextmanager
    async def endless():
        print("loading", file=sys.stderr, flush=True)
        await asyncio.sleep(3600)
        yield

    loading = PooledEngine(echo, lifespan=endless)
    attached = PooledEngine(echo, worker="attached")
    number = 5
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a module `app`."""
    serving.write(tmp_path, "app.py", APP)
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Iterator[Starter]:
    """Starts Python in the folder."""
    started: list[Program] = []

    def begin(*arguments: str, **more: Any) -> Program:
        started.append(serving.run(folder, *arguments, **more))
        return started[-1]

    yield begin
    for program in started:
        program.process.kill()
        program.process.wait()


@pytest.fixture
def serve(run: Starter) -> Starter:
    """Starts `pybridge serve` in the folder."""
    return functools.partial(run, "-m", "pybridge", "serve")
