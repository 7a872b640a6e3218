"""Children of a fork: refused where their parent has called, free where it has not, and taking nothing from it."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.guarantee("P-05")
def test_child_of_a_fork_is_refused_and_the_parent_goes_on(run_python: Any) -> None:
    run_python(
        """
        import os, time
        from pybridge import ForkError, PooledEngine

        async def handler(request):
            yield request

        engine = PooledEngine(handler, worker="dedicated")
        assert list(engine.iter(1)) == [1]
        child = os.fork()
        if child == 0:
            begun = time.monotonic()
            try:
                list(engine.iter(2))
            except ForkError:
                sys_status = 7 if time.monotonic() - begun < 1 else 8
            else:
                sys_status = 9
            raise SystemExit(sys_status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert list(engine.iter(3)) == [3]
        """,
        options=("-X", "dev", "-W", "ignore::DeprecationWarning"),  # of a fork with threads
    )


@pytest.mark.guarantee("P-07")
def test_child_that_a_handler_forks_ends_when_it_asks_to_and_takes_nothing_from_the_parent(run_python: Any) -> None:
    run_python(
        """
        import asyncio, os, sys
        from pybridge import PooledEngine

        async def echo(request):
            yield request
            await asyncio.sleep(0)
            yield request

        async def forks(request):
            yield 1
            child = os.fork()
            if child == 0:
                sys.exit()
            children.append(child)
            yield 2

        children = []
        engine = PooledEngine(echo, worker="dedicated")
        assert list(PooledEngine(forks, worker="dedicated").iter(None)) == [1, 2]
        for number in range(500):
            assert list(engine.iter(number, timeout=20)) == [number] * 2
        os.waitpid(children[0], 0)
        """,
        options=("-X", "dev", "-W", "ignore::DeprecationWarning"),  # of a fork with threads
    )


@pytest.mark.guarantee("P-06")
def test_fork_before_the_first_use_works(run_python: Any) -> None:
    run_python(
        """
        import os
        from pybridge import PooledEngine

        async def handler(request):
            yield request

        engine = PooledEngine(handler, worker="dedicated")
        children = []
        for number in range(2):
            child = os.fork()
            if child == 0:
                raise SystemExit(0 if list(engine.iter(number)) == [number] else 1)
            children.append(child)
        for child in children:
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert list(engine.iter(5)) == [5]
        """
    )


@pytest.mark.guarantee("P-08")
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_multiprocessing_works_however_it_starts(run_python: Any, tmp_path: Any, method: str) -> None:
    (tmp_path / "served.py").write_text(
        "from pybridge import PooledEngine\n"
        "async def handler(request):\n"
        "    yield request\n"
        "engine = PooledEngine(handler, worker='dedicated')\n"
        "def first(number):\n"
        "    return next(engine.iter(number))\n"
    )
    run_python(
        f"""
        import multiprocessing, sys
        sys.path.insert(0, {str(tmp_path)!r})
        import served
        if __name__ == "__main__":
            with multiprocessing.get_context({method!r}).Pool(2) as pool:
                assert pool.map(served.first, range(4)) == [0, 1, 2, 3]
                pool.close()
                pool.join()
        """,
        options=("-X", "dev", "-W", "ignore::DeprecationWarning"),  # of a fork with threads
    )
