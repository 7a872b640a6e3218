"""Servers for the tests of the protocol: each is started once, when it is first needed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Generator, Iterator

import pytest

from support.fronts import CANNOT, FRONTS, ONE_OF_EACH_KIND, Server
from support.wire import Loop

UNNOTICED = re.compile(
    r"^.*(?:never retrieved|never awaited|Exception ignored|Fatal Python error|panicked at).*(?:\n.*)?", re.MULTILINE
)
"""What no server may log, whatever its clients do."""

LOG_BYTES = 6000
"""How much of a server's log a failed test shows."""


@pytest.fixture
def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """One kind of loop: the clients' own makes no difference to the servers."""
    return Loop


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Server]]:
    """Gives the server of a name, started when it is first asked for; stops all of them at the end."""
    servers: dict[str, Server] = {}

    def named(name: str) -> Server:
        if name not in servers:
            servers[name] = Server.start(FRONTS[name], tmp_path_factory.mktemp(name))
        return servers[name]

    yield named
    noticed = {name: UNNOTICED.findall(server.stop()) for name, server in servers.items()}
    assert not any(noticed.values()), noticed


@pytest.fixture(params=FRONTS)
def server(request: pytest.FixtureRequest, running: Callable[[str], Server]) -> Server:
    """Each server: for rules to which its own behaviour matters."""
    return _chosen(request, running)


@pytest.fixture(params=ONE_OF_EACH_KIND)
def one_server(request: pytest.FixtureRequest, running: Callable[[str], Server]) -> Server:
    """One server of each kind: for rules that the layer keeps by itself."""
    return _chosen(request, running)


@pytest.fixture(params=[name for name, front in FRONTS.items() if front.http2])
def http2_server(request: pytest.FixtureRequest, running: Callable[[str], Server]) -> Server:
    """Each server that speaks HTTP/2."""
    return _chosen(request, running)


@pytest.fixture(params=[name for name in ONE_OF_EACH_KIND if FRONTS[name].kind == "asgi"])
def asgi_server(request: pytest.FixtureRequest, running: Callable[[str], Server]) -> Server:
    """A server of ASGI, for what Python's frameworks do around the layer."""
    return _chosen(request, running)


def _chosen(request: pytest.FixtureRequest, running: Callable[[str], Server]) -> Server:
    name, test = request.param, request.node.originalname
    if reason := CANNOT.get((name, test)):
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
    return running(name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shows what the server logged, where a test fails."""
    report = yield
    given = getattr(item, "funcargs", {})
    for server in (value for value in given.values() if isinstance(value, Server)):
        if report.failed:
            report.sections.append((f"log of {server.front.name}", server.log.read_text()[-LOG_BYTES:]))
    return report
