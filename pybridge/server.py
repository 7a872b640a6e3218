"""An engine behind an HTTP server of Rust's: for programs with an event loop, and as the whole program."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Self, Unpack

from pybridge import _pybridge
from pybridge._serve.process import (
    check_thread,
    prepare,
    raise_file_limit,
    serve_until_told,
    tell_how,
    wait_ready,
)
from pybridge._serve.settings import ServeOptions, ServerSettings, check_call
from pybridge._serve.signals import Signals
from pybridge._serve.sockets import Listeners, Place
from pybridge.engine import PooledEngine


class Server:
    """Serves an engine over HTTP as long as its `async with` is open; leaving that drains.

    HTTP is spoken by threads of Rust's; handlers run on the engine's worker, as for every caller from Rust, and not on
    the loop that opens the server. Its engine takes no calls any more once it is left: it is closed with the server.
    Left by an exception, the server stops at once. No signal is taken and no handler of one replaced.

    Args:
        engine: What is served; it must not be one with `worker="attached"`.
        host: The address to listen on, 127.0.0.1 unless given; a name stands for all of its addresses.
        port: The port; 0, and unless given: one that is free.
        uds: A path to listen on instead, as a Unix socket.
        fd: The descriptor of a socket that listens, instead; it belongs to the server.
        **options: See `ServeOptions`.

    Raises:
        ConfigError: An option that cannot be, naming it.
        TypeError: `engine` is none, or an option does not exist.
    """

    def __init__(
        self,
        engine: PooledEngine,
        *,
        host: str | None = None,
        port: int | None = None,
        uds: str | None = None,
        fd: int | None = None,
        **options: Unpack[ServeOptions],
    ) -> None:
        check_call("Server()", engine, options)
        self._engine = engine
        self._place = Place.of(host, port, uds, fd, default_port=0)
        self._settings = ServerSettings(**options)
        self._listeners: Listeners | None = None
        self._server: _pybridge.HttpServer | None = None
        self._urls: list[str] = []
        self._ports: list[int] = []

    async def __aenter__(self) -> Self:
        """Binds, enters the engine's lifespan, serves.

        Raises:
            OSError: The address cannot be had.
            ConfigError: An option that cannot be, naming it.
            Exception: What the lifespan raised.
        """
        if self._listeners is not None:
            raise RuntimeError("a server is entered once")
        settings = self._settings
        server = prepare(self._engine, settings)
        self._listeners = listeners = Listeners.of(self._place, tls=settings.tls_cert is not None)
        try:
            await self._engine._core.ready()  # noqa: SLF001 - the package's own
            listeners.listen()
            self._urls, self._ports = listeners.urls, listeners.ports
            server.start(listeners.detach())
        except BaseException:
            listeners.close()
            raise
        self._server = server
        tell_how(self._engine)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        server, listeners = self._server, self._listeners
        if server is None or listeners is None:
            return
        if kind is None:
            server.drain()
        else:
            server.stop()
        try:
            await server.ended()
        except asyncio.CancelledError:
            server.stop()
            raise
        finally:
            listeners.close()

    @property
    def url(self) -> str:
        """Where it is reached: `http://127.0.0.1:8000`, for a Unix socket `unix:/run/app.sock`."""
        return self._entered(self._urls)[0]

    @property
    def port(self) -> int:
        """The port that it listens on.

        Raises:
            RuntimeError: It has none: its socket is a Unix socket.
        """
        ports = self._entered(self._urls) and self._ports
        if not ports:
            raise RuntimeError(f"the server has no port: it listens on {self.url}")
        return ports[0]

    def _entered(self, urls: list[str]) -> list[str]:
        if not urls:
            raise RuntimeError("the server listens nowhere before it is entered")
        return urls


def serve(
    engine: PooledEngine,
    *,
    host: str | None = None,
    port: int | None = None,
    uds: str | None = None,
    fd: int | None = None,
    **options: Unpack[ServeOptions],
) -> None:
    """Serves an engine over HTTP until SIGTERM or SIGINT; blocks the main thread.

    The first of these signals makes the server drain: `/health/ready` says 503, after `drain_settle` seconds new calls
    do too, live ones have `drain_timeout` seconds, and what is left is cancelled with the reason `shutdown`. Then it
    returns, and the handlers of signals are what they were. A second signal ends the process at once, with status 128
    and the signal's number. A process that does not get this far because something holds the interpreter ends with
    status 3, a second after the time that draining may take.

    The process may have as many open files as the system allows it.

    Args:
        engine: What is served; see `Server`, also for the other arguments.
        host: The address to listen on, 127.0.0.1 unless given.
        port: The port, 8000 unless given; 0: one that is free.
        uds: A path to listen on instead, as a Unix socket.
        fd: The descriptor of a socket that listens, instead.
        **options: See `ServeOptions`.

    Raises:
        ConfigError: An option that cannot be, naming it.
        OSError: The address cannot be had.
        RuntimeError: This is not the main thread, or an event loop runs on it.
        TypeError: `engine` is none, or an option does not exist.
        Exception: What the engine's lifespan raised.
    """
    check_call("serve()", engine, options)
    check_thread()
    settings = ServerSettings(**options)
    place = Place.of(host, port, uds, fd, default_port=8000)
    listeners = Listeners.of(place, tls=settings.tls_cert is not None)
    with contextlib.closing(listeners), Signals() as signals:
        server = prepare(engine, settings)
        raise_file_limit()
        wait_ready(engine)
        serve_until_told(engine, server, listeners, settings, signals, lambda _urls: tell_how(engine))
