"""There is one runtime, with the threads that were asked for."""

from __future__ import annotations

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


def test_one_runtime_serves_python_and_rust_consumers(run_python: PythonRunner) -> None:
    """T-05"""
    assert run_python(SNIPPET) == "refused\n"
