"""There is one runtime, with the threads that were asked for."""

from __future__ import annotations

import pytest

from support.processes import PythonRunner

SNIPPET = """
    import asyncio, pathlib
    import pybridge
    from pybridge import ConfigError, PooledEngine
    from pybridge.bench.bridged import PooledLane
    from pybridge.bench.protocol import Plan

    def names():
        return [path.read_text().strip() for path in pathlib.Path("/proc/self/task").glob("*/comm")]

    async def handler(number):
        for index in range(number):
            yield index

    before = names()
    pybridge.configure_runtime(workers=2)

    async def main():
        assert [item async for item in PooledEngine(handler)(3)] == [0, 1, 2]

    asyncio.run(main())
    assert list(PooledEngine(handler, worker="dedicated").iter(3)) == [0, 1, 2]
    result = PooledLane("asyncio").run(
        Plan(handler="__main__:handler", bodies=[b'3'], concurrency=4, requests=8, codec="json")
    )
    assert (result.requests, result.items) == (8, 24), result
    new = sorted(set(names()) - set(before))
    assert len([name for name in names() if name.startswith("pybridge-rt")]) == 2, names()
    assert all(name.startswith("pybridge") for name in new), new
    try:
        pybridge.configure_runtime(workers=3)
    except ConfigError:
        print("refused")
"""


CROWD = """
    import asyncio, os
    import pybridge
    from pybridge import PooledEngine
    from pybridge.bench.bridged import PooledLane
    from pybridge.bench.protocol import Plan

    STREAMS = 1_000
    seen = []

    class Crowd:
        def __init__(self):
            self.count, self.complete = 0, asyncio.Event()

        async def join(self):
            self.count += 1
            if self.count == STREAMS:
                self.complete.set()
            await self.complete.wait()

    crowds = {}

    async def handler(request):
        crowd = crowds.setdefault(asyncio.get_running_loop(), Crowd())
        yield request
        await crowd.join()
        seen.append(len(os.listdir("/proc/self/task")))
        yield request

    async def main():
        engine = PooledEngine(handler)
        async def read():
            return [item async for item in engine(1)]
        assert await asyncio.gather(*(read() for _ in range(STREAMS))) == [[1, 1]] * STREAMS

    pybridge.configure_runtime(workers=2)
    plan = Plan(handler="__main__:handler", bodies=[b"1"], concurrency=STREAMS, requests=STREAMS, codec="json")
    result = PooledLane("asyncio").run(plan)
    assert (result.requests, result.items) == (STREAMS, 2 * STREAMS), result
    asyncio.run(main())
    assert len(seen) == 2 * STREAMS
    # Two of the runtime, the main thread, the worker, and four.
    assert max(seen) <= 2 + 2 + 4, max(seen)
"""


@pytest.mark.guarantee("M-20")
def test_a_thousand_streams_at_once_need_no_more_threads(run_python: PythonRunner) -> None:
    """With consumers in Rust and in Python."""
    run_python(CROWD)


@pytest.mark.guarantee("P-13")
def test_one_runtime_serves_python_and_rust_consumers(run_python: PythonRunner) -> None:
    assert run_python(SNIPPET) == "refused\n"
