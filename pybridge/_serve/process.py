"""A process that serves one engine until it is told to stop: the main thread stays in Python and waits."""

from __future__ import annotations

import inspect
import logging
import os
import resource
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from pybridge import _pybridge
from pybridge._handlers import innermost
from pybridge._serve.drain_log import tell_beginning, tell_end
from pybridge._serve.returns import returned_types, streams_items
from pybridge._serve.settings import ServerSettings
from pybridge._serve.signals import Signals
from pybridge._serve.sockets import Listeners
from pybridge.engine import PooledEngine
from pybridge.errors import ConfigError

EXIT_MARGIN = 1.0
"""Seconds beyond the drain and the cleanup of what was cancelled, after which the process ends whatever holds it."""

EXIT_TIME = 5.0
"""Seconds that a process which has drained may take to end, for exit handlers and threads."""


_log = logging.getLogger("pybridge.server")


def prepare(engine: PooledEngine, settings: ServerSettings, peers: Path | None = None) -> _pybridge.HttpServer:
    """A server that is not started, its options checked.

    Raises:
        ConfigError: An option that cannot be, naming it.
    """
    try:
        return _pybridge.HttpServer(engine, settings, settings.tls(), None if peers is None else str(peers))
    except ValueError as error:
        if isinstance(error, ConfigError):
            raise
        option, reason = error.args
        file = {"tls_cert": settings.tls_cert, "tls_key": settings.tls_key}.get(option)
        raise ConfigError(option, reason if file is None else f"{file} {reason}") from None


def check_thread() -> None:
    """Refuses a thread that must not block, or to which signals do not come.

    Raises:
        RuntimeError: This is not the main thread, or an event loop runs on it.
    """
    if threading.current_thread() is not threading.main_thread() or _pybridge.Engine.on_loop():
        raise RuntimeError("serve() blocks the main thread and takes its signals: use `async with Server(engine)` here")


def wait_ready(engine: PooledEngine) -> None:
    """Has the engine's lifespan entered, and blocks until it is.

    Raises:
        Exception: What the lifespan raised.
    """
    engine._core.wait_ready()  # noqa: SLF001 - the package's own


def tell_how(engine: PooledEngine) -> None:
    """Logs how a handler is served: whoever forgot a `yield` or a `return` sees it here."""
    handler, is_call = engine._handler, engine._unary  # noqa: SLF001 - the package's own
    inner = innermost(handler)
    if is_call:
        _log.info("%s answers one value", engine.name)
        if returned_types(inner) == ["NoneType"]:
            _log.warning(
                "%s returns None for every request: its function has neither `yield` nor `return` with a value",
                engine.name,
            )
    elif streams_items(inner):
        _log.info("%s streams items", engine.name)
    elif inspect.iscoroutinefunction(inner):
        _log.info("%s streams the items of the async generator that its coroutine has to return", engine.name)
    else:
        _log.warning(
            "%s is no async function: each call has to return an async generator; write `async def` with `yield`, or "
            "wrap a synchronous generator function in pybridge.from_sync()",
            engine.name,
        )


def time_to_stop(engine: PooledEngine, settings: ServerSettings) -> float:
    """Seconds after which a process that was told to stop ends, whatever holds it."""
    return settings.drain_settle + settings.drain_timeout + engine.stats().flow.config.cancel_grace + EXIT_MARGIN


def serve_until_told(
    engine: PooledEngine,
    server: _pybridge.HttpServer,
    listeners: Listeners,
    settings: ServerSettings,
    signals: Signals,
    announce: Callable[[list[str]], None],
    *,
    supervisor: socket.socket | None = None,
    ends: bool = False,
) -> bool:
    """Starts a server of an engine that is ready; returns when it has drained, after a signal or its supervisor's end.

    `ends`: the process ends then, within `EXIT_TIME`.

    Returns:
        Whether all handlers have ended; one that was cancelled may have blocked its event loop.

    Raises:
        OSError: Somebody else listens on an address meanwhile.
    """
    within = time_to_stop(engine, settings)
    signals.check()
    listeners.listen()
    urls = listeners.urls
    ended, end = socket.socketpair()
    with ended:
        descriptors = listeners.detach()
        signals.forget_in_children([*descriptors, ended.fileno(), end.fileno()])
        server.start(descriptors, end.detach())
        try:
            signals.hand_over(server, within, replaced=supervisor is not None)
            if supervisor is not None:
                server.watch_supervisor(os.dup(supervisor.fileno()), within)
            announce(urls)
            is_over = _wait_for_the_end(ended, engine, server, settings)
        finally:
            server.stop()
            signals.forget_in_children([])  # they are closed, and others may have their numbers
    server.disarm(EXIT_TIME if ends else None)
    return is_over


def _wait_for_the_end(
    told: socket.socket, engine: PooledEngine, server: _pybridge.HttpServer, settings: ServerSettings
) -> bool:
    """Blocks until the server has ended, and logs that; False: a handler goes on that was told to end."""
    given_up = 0
    # Rust writes to the other end; signals do not end the wait.
    while (what := told.recv(1)) in (b"d", b"l"):
        streams = engine.stats().streams
        given_up = streams.close_timeout
        tell_beginning(streams.live, settings, is_replaced=what == b"l")
    finished, cut_off = server.drained() or (0, 0)
    streams = engine.stats().streams
    is_over = not streams.live and streams.close_timeout == given_up
    tell_end(finished, cut_off, is_over=is_over)
    return is_over


def raise_file_limit() -> None:
    """Lets the process have as many sockets as the system allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):  # a system that allows less than it says keeps its limit
            return
