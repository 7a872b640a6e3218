"""`pybridge serve`: from the command line to a server, or to the processes of one."""

from __future__ import annotations

import argparse
import contextlib
import errno
import logging
import os
import resource
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from pybridge._configure_memory import configure_memory
from pybridge._pybridge import Worker
from pybridge._serve import sockets
from pybridge._serve.json_log import JsonLines
from pybridge._serve.process import (
    prepare,
    raise_file_limit,
    serve_until_told,
    tell_how,
    time_to_stop,
    wait_ready,
)
from pybridge._serve.settings import WHERE, ServerSettings
from pybridge._serve.signals import Signals, Told
from pybridge._serve.sockets import Listeners, Place
from pybridge._serve.standard_descriptors import keep_standard_descriptors
from pybridge._serve_command import arguments, python_log_queue
from pybridge._serve_command.app_dir_and_env_file import folder_of, read_variables
from pybridge._serve_command.arguments import CONFIGS, Child, as_typed, option_of
from pybridge._serve_command.options_from_fields import given
from pybridge._serve_command.reload import watch
from pybridge._serve_command.shared_folder import leave_folder, shared_folder, short_path
from pybridge._serve_command.start_errors import StartError, in_one_line, line, say, say_in
from pybridge._serve_command.supervisor import START_FAILED, Supervisor
from pybridge._serve_command.target import engine_of
from pybridge._serve_command.worker_process import DRAINED, READY, end_with_parent
from pybridge._unknown_variables import is_of_settings, unknown_variables
from pybridge.engine import PooledEngine
from pybridge.errors import ConfigError

NOT_ENDED = 3
"""Exit status where a handler goes on whatever it is told."""


def add_command(commands: Any) -> None:
    """Adds `serve` to the command line."""
    arguments.add_command(commands, run)


def run(options: argparse.Namespace) -> int:
    """Serves; gives the exit status."""
    keep_standard_descriptors()
    child: Child | None = options.child
    is_json = given(options, "server").get("access_log") == "json"
    form = JsonLines() if is_json else python_log_queue.lines(is_one_of_several=child is not None)
    python_log_queue.log_to_standard_error(options.log_level, form)
    if is_json:
        say_in(form)
    channel = None if child is None else socket.socket(fileno=child.channel)
    if child is not None and channel is not None:
        channel.set_inheritable(False)
        os.set_inheritable(child.lock, False)
        end_with_parent(signal.SIGKILL)
        if _is_orphan(channel):
            return START_FAILED
    signals = Signals(ends=True)
    try:
        with signals:
            return _run(options, signals, child, channel)
    except Told as told:
        return told.status
    except (StartError, OSError) as error:
        if isinstance(signals.told, Told):  # the module has caught it, and raised something else
            return signals.told.status
        _tell_failure(options, error, channel)
        return START_FAILED


def _run(options: argparse.Namespace, signals: Signals, child: Child | None, channel: socket.socket | None) -> int:
    read = set() if options.env_file is None else read_variables(options.env_file)
    if options.reload_dir and not options.reload:
        raise StartError("--reload is needed with --reload-dir")
    if child is not None:
        return _serve(options, _settings(options), signals, child, channel)
    workers = 1 if options.reload and options.workers is None else options.workers
    if workers is not None:
        signal.signal(signal.SIGHUP, lambda *_: None)  # nothing runs yet that would have to be replaced
    _warn_of_environment(options)
    settings = _settings(options)
    if workers is not None:
        return _supervise(options, settings, workers, read)
    return _serve(options, settings, signals, None, None)


def _serve(
    options: argparse.Namespace,
    settings: ServerSettings,
    signals: Signals,
    child: Child | None,
    channel: socket.socket | None,
) -> int:
    if child is None:
        listeners = _listeners(options, settings)
    else:
        passed = [sockets.inherited(descriptor, listens=False) for descriptor in child.descriptors]
        listeners = Listeners(passed, tls=settings.tls_cert is not None)

    def announce(urls: list[str]) -> None:
        tell_how(engine)
        python_log_queue.flush()
        if channel is None:
            _announce(urls)
        else:
            end_with_parent(None)  # it watches the channel from now on, and drains
            channel.sendall(f"{READY} {time_to_stop(engine, settings):.3f}\n".encode())

    raise_file_limit()
    with contextlib.closing(listeners):
        engine = _engine(options)
        try:
            with _as_start_error("server"):
                server = prepare(engine, settings, None if child is None else short_path(child.peers, child.lock))
        except RuntimeError as error:
            raise StartError(f"{options.target} cannot be served: {error}") from error
        try:
            wait_ready(engine)
        except Exception as error:  # whatever a lifespan does
            raise StartError(f"the lifespan of {engine.name} failed: {in_one_line(error)}") from error
        is_over = serve_until_told(
            engine, server, listeners, settings, signals, announce, supervisor=channel, ends=True
        )
    if child is not None and channel is not None:
        with contextlib.suppress(OSError):
            channel.sendall(f"{DRAINED}\n".encode())
        if _is_orphan(channel):
            leave_folder(child.peers)
    return 0 if is_over else NOT_ENDED


def _is_orphan(channel: socket.socket) -> bool:
    """Whether the supervisor at the other end has gone."""
    try:
        return not channel.recv(1, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _supervise(options: argparse.Namespace, settings: ServerSettings, workers: int, read: AbstractSet[str]) -> int:
    raise_file_limit()
    if options.reload:
        _watch(options, workers)
    with shared_folder() as (peers, lock), contextlib.closing(_listeners(options, settings)) as listeners:
        descriptors = tuple(listeners.descriptors())

        def command(channel: int) -> Sequence[str]:
            child = Child(descriptors, channel, lock, peers)
            flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001
            return [sys.executable, *flags, "-m", "pybridge", *options.arguments, "--child", str(child)]

        # Each process reads the file itself, as it is then.
        environment = {name: value for name, value in os.environ.items() if name not in read}
        return Supervisor(command, workers, (*descriptors, lock), lambda: _announce(listeners.urls), environment).run()


def _watch(options: argparse.Namespace, workers: int) -> None:
    """Has changes of files seen."""
    if workers > 1:
        raise StartError("--reload and --workers exclude each other: it replaces one process")
    if "fd" in options:
        raise StartError("--reload and --fd exclude each other")
    watch(
        [folder_of("--reload-dir", path) for path in options.reload_dir]
        or [folder_of("--app-dir", options.app_dir or ".")]
    )


def _settings(options: argparse.Namespace) -> ServerSettings:
    values = given(options, "server")
    if options.api_key_env:
        values["api_keys"] = [key for name in options.api_key_env for key in _keys_of(name)]
    with _as_start_error("server"):
        return ServerSettings(**values)


def _keys_of(variable: str) -> list[str]:
    keys = os.environ.get(variable, "").replace(",", " ").split()
    if not keys:
        name = variable or repr(variable)
        raise StartError(f"--api-key-env: {name} is not set, or holds no key")
    return keys


def _listeners(options: argparse.Namespace, settings: ServerSettings) -> Listeners:
    """The sockets that the command line names, else those of systemd, else the usual one."""
    where = {name: value for name, value in vars(options).items() if name in WHERE}
    named = [name for name in WHERE if name in where]
    if len(named) > 1 and named != ["host", "port"]:
        raise StartError(f"{_options(named)} exclude each other: give one place to listen at")
    tls = settings.tls_cert is not None
    if passed := sockets.passed_by_systemd():
        if named:
            raise StartError(f"{_options(named)}: the sockets are those that systemd has opened (LISTEN_FDS)")
        return Listeners([sockets.inherited(descriptor) for descriptor in passed], tls=tls)
    with _as_start_error("server"):
        place = Place.of(*(where.get(name) for name in WHERE), default_port=8000)
        return Listeners.of(place, tls=tls)


def _options(names: Sequence[str]) -> str:
    return " and ".join(f"--{name}" for name in names)


def _warn_of_environment(options: argparse.Namespace) -> None:
    """Says which variables were meant to be settings and are none."""
    for name, meant in unknown_variables().items():
        if name not in options.api_key_env and (meant is not None or is_of_settings(name)):
            say(f"{name} has no effect: " + (f"did you mean {meant}?" if meant else "there is no such setting"))


def _engine(options: argparse.Namespace) -> PooledEngine:
    with _as_start_error("memory"):
        if memory := given(options, "memory"):
            configure_memory(**memory)
    settings = given(options, "handler")
    for prefix, kind in CONFIGS.items():
        with _as_start_error(prefix):
            if configured := given(options, prefix):
                settings[prefix] = kind(**configured)
    with _as_start_error("handler"):
        if settings.pop("uvloop", False):
            settings["worker"] = Worker(loop="uvloop", name="pybridge-worker")
        return engine_of(options.target, settings, options.app_dir)


@contextlib.contextmanager
def _as_start_error(prefix: str) -> Iterator[None]:
    """Makes a setting that cannot be one line that names options as they are typed."""
    try:
        yield
    except ConfigError as error:
        reason = as_typed(prefix, error.reason)
        colon = "" if reason.startswith("is needed ") else ":"
        raise StartError(f"{option_of(prefix, error.field)}{colon} {reason}") from error


def _announce(urls: list[str]) -> None:
    places = " ".join(urls)
    try:
        print(f"pybridge: serving on {places}", flush=True)
    except OSError as error:
        # What Python has not written it tries again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), 1)
        say(f"serving on {places}, which standard output does not take: {error.strerror or error}")


def _tell_failure(options: argparse.Namespace, error: Exception, channel: socket.socket | None) -> None:
    python_log_queue.flush()
    if options.log_level == "debug":
        traceback.print_exception(error)
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    if isinstance(error, OSError) and error.errno == errno.EMFILE:
        text += f": this process may have {resource.getrlimit(resource.RLIMIT_NOFILE)[0]} (ulimit -n)"
    if channel is None:
        print(line(text, logging.ERROR), file=sys.stderr)
    else:
        with contextlib.suppress(OSError):
            channel.sendall(text.encode(errors="replace"))
