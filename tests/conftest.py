"""Fixtures for all tests; what they are made of is in `support`."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import signal
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import engines, leaks, loops, skips
from support.processes import PythonRunner


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Module, name: str, obj: object) -> None:
    """Runs every async test once per event loop."""
    if name.startswith("test_") and inspect.iscoroutinefunction(obj):
        pytest.mark.usefixtures("loop_factory")(obj)


def pytest_configure(config: pytest.Config) -> None:
    """Fails tests that are skipped for reasons that nobody has allowed."""
    # Whoever runs the tests under nohup has their processes ignore it else.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    config.pluginmanager.register(skips)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which tests run, and how long some of them are."""
    parser.addoption("--all-pairs", action="store_true", help="every pair of the test's loop and the engine's worker")
    parser.addoption("--guarantee", metavar="NUMBER", help="only tests that hold this row of docs/guarantees.md")
    parser.addoption("--disconnects", type=int, default=60, help="clients that leave each server at a random point")


PAIRS = {
    ("asyncio", "attached"),
    ("asyncio", "dedicated"),
    ("uvloop", "attached"),
    ("uvloop", "uvloop-worker"),
    ("eager", "attached"),
}
"""Each loop with handlers on itself and on another thread; a thread's loop is of the same kind."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out the pairs that show nothing new, and tests that hold another row than the one that is asked for."""
    number = config.getoption("--guarantee")
    chosen: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        runs = (config.getoption("--all-pairs") or _is_worth_it(item)) and (number is None or number in _rows_of(item))
        (chosen if runs else left_out).append(item)
    items[:] = chosen
    config.hook.pytest_deselected(items=left_out)


def _rows_of(item: pytest.Item) -> set[str]:
    return {number for mark in item.iter_markers("guarantee") for number in mark.args}


def _is_worth_it(item: pytest.Item) -> bool:
    chosen = getattr(item, "callspec", None)
    if chosen is None or not {"loop_factory", "make_engine"} <= chosen.params.keys():
        return True
    return (chosen.params["loop_factory"], chosen.params["make_engine"]) in PAIRS


def pytest_collection_finish() -> None:
    """Takes what was imported so far out of the collector's work: every test is followed by a full collection."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs an async test on a fresh event loop, in debug mode where the loop has one that works."""
    test = pyfuncitem.obj
    if not inspect.iscoroutinefunction(test):
        return None
    given: dict[str, Any] = pyfuncitem.funcargs
    arguments = {name: given[name] for name in inspect.signature(test).parameters}
    factory = given["loop_factory"]
    with asyncio.Runner(debug=loops.debugs(factory), loop_factory=factory) as runner:
        runner.run(_bounded(test(**arguments), _timeout_of(pyfuncitem)))
    return True


def _timeout_of(item: pytest.Function) -> float:
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0] if marker else item.config.getini("timeout"))


async def _bounded(test: Coroutine[Any, Any, None], timeout: float) -> None:
    """Cancels a test that waits for ever, so that the traceback shows where; uvloop hides the plugin's signal."""
    async with asyncio.timeout(timeout * 0.75):
        await test


@pytest.fixture(params=loops.FACTORIES)
def loop_factory(request: pytest.FixtureRequest) -> Callable[[], asyncio.AbstractEventLoop]:
    """A maker of event loops; the test runs once with each kind."""
    return loops.FACTORIES[request.param]


@pytest.fixture(params=engines.PLACEMENTS)
def make_engine(request: pytest.FixtureRequest) -> engines.EngineMaker:
    """Makes engines whose handlers run on the test's own loop or on a thread of pybridge's; the test runs with each."""
    return functools.partial(engines.make_engine, request.param)


@pytest.fixture(autouse=True)
def leak_check() -> Iterator[None]:
    """Fails a test that leaves a live stream, a pooled byte or an unreleased reference behind."""
    yield
    leaks.assert_nothing_left()


@pytest.fixture
def run_python(tmp_path: Path) -> PythonRunner:
    """Runs a snippet in a fresh interpreter, strictly; see `PythonRunner`."""
    return PythonRunner(tmp_path)


@pytest.fixture
def collector_off() -> Iterator[None]:
    """Turns Python's cycle collector off, so that only reference counts free objects."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Names the versions that matter."""
    return [", ".join(f"{name} {version}" for name, version in loops.versions().items())]
