"""The options of `pybridge serve`, and what its help says."""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pybridge._serve.settings import ServeOptions, ServerSettings
from pybridge._serve_command.options_from_fields import add_field, descriptions
from pybridge.config import FlowConfig, Limits, MemoryConfig, PoolConfig

DESCRIPTION = """\
Serves a handler over HTTP. Rust speaks HTTP, Python runs the handler and nothing else.

A request is a POST to /generate; its JSON body is what the handler gets. What the handler yields is the answer: a line
of JSON for each item, or server-sent events, MessagePack or one JSON array, as the client accepts.
"""

EPILOG = """\
examples:
  pybridge serve app:generate                      the function generate of app.py, on http://127.0.0.1:8000
  pybridge serve app:chat --protocol openai --model small
                                                   for OpenAI's clients: base_url=http://127.0.0.1:8000/v1
  pybridge serve app:engine --host 0.0.0.0 --workers 4 --access-log text
                                                   a PooledEngine with its lifespan, in four processes

requests to the first:
  curl localhost:8000/generate --json '{"prompt": "Hello"}'
                                                   all items in one array
  curl -N localhost:8000/generate --json '{"prompt": "Hello"}' -H 'Accept: text/event-stream'
                                                   each item as it comes

signals:
  SIGTERM, SIGINT   /health/ready says 503; after --drain-settle seconds new calls are told 503, live ones have
                    --drain-timeout seconds, the rest is cancelled. A second one ends the process at once.
  SIGHUP            With --workers, 1 as well: replaces the processes one after the other, with the
                    code that is there now.

exit status:
  0  it was told to stop, and did          2  it could not start; the reason is on standard error
  3  something held Python's interpreter   128 + N  a second signal, number N, or one before it was ready
     beyond the time to stop
"""

GROUPS: dict[str, tuple[str, ...]] = {
    "requests and answers": (
        "protocol", "path", "models", "max_body", "max_timeout", "pass_headers", "commit_after", "keepalive",
        "flush_interval",
    ),
    "who may ask": ("api_keys", "tls_cert", "tls_key", "cors_origins", "forwarded_allow_ips", "root_path"),
    "connections": ("header_timeout", "body_timeout", "idle_timeout", "write_timeout", "max_connections"),
    "pages for operators": ("health", "metrics"),
    "how it ends": ("drain_timeout", "drain_settle"),
}  # fmt: skip
"""The fields of `ServerSettings` as they are shown; `access_log` is shown with logging."""

REPEATED = {"models": "model", "pass_headers": "pass-header", "cors_origins": "cors-origin"}
"""Options that are given once for each value."""

WORDS = {
    "protocol": "generic|openai",
    "path": "PATH",
    "root_path": "PATH",
    "write_timeout": "SECONDS",
    "tls_cert": "FILE",
    "tls_key": "FILE",
    "api_keys": "VARIABLE",
    "forwarded_allow_ips": "IPS",
    "models": "NAME",
    "pass_headers": "NAME",
    "cors_origins": "ORIGIN",
    "access_log": "off|text|json",
}
"""What stands for the values of options whose default does not say it."""

CONFIGS: dict[str, Any] = {"pool": PoolConfig, "flow": FlowConfig, "limits": Limits}
"""Settings of the engine, each field an option."""

ABOUT = {
    "pool": "memory of items and requests",
    "flow": "how many calls run and wait, and how far handlers run ahead of clients",
    "limits": "the largest messages",
}
"""What these are about."""


@dataclass(frozen=True)
class Child:
    """What a supervisor tells a process of its own: sockets, its channel, the folder of all processes and its lock."""

    descriptors: tuple[int, ...]
    channel: int
    lock: int
    peers: Path

    def __str__(self) -> str:
        return f"{','.join(map(str, self.descriptors))}:{self.channel}:{self.lock}:{self.peers}"


WORKERS_PER_PROCESSOR = 8
"""Most processes for each processor: more are a mistake, and their start alone stops a machine."""

LEAST_MAX_WORKERS = 64
"""As many may be asked for on any machine."""

LEVELS = ("debug", "info", "warning", "error")
"""Levels of Python's logging."""

MEMORY = (
    ("idle_release", "all|malloc|off", "Whose free memory goes back to the system when the process is idle."),
    ("min_gain", "SIZE", "Memory that a release has to win back."),
    ("tune_malloc", "yes|no", "Whether blocks of 128 KiB and more go back when they are freed."),
    ("python_allocator", "leave|system", "Whether Python's small objects come from malloc."),
)
"""The fields of `MemoryConfig`, what stands for their values, and what they say."""


def add_command(commands: Any, run: Callable[[argparse.Namespace], int]) -> None:
    """Adds `serve` to the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "serve",
        help="serve a handler over HTTP",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        usage="pybridge serve module:attribute [options]",
    )
    parser.add_argument(
        "target", metavar="module:attribute", help="A handler or a PooledEngine; its module may be in this folder."
    )
    where = parser.add_argument_group("where it listens", "One of --host with --port, --uds and --fd.")
    where.add_argument("--host", default=argparse.SUPPRESS, help="Address to listen on. (default: 127.0.0.1)")
    where.add_argument(
        "--port",
        type=_number,
        default=argparse.SUPPRESS,
        metavar="N",
        help="Port; 0: one that is free. (default: 8000)",
    )
    where.add_argument("--uds", default=argparse.SUPPRESS, metavar="PATH", help="Path of a Unix socket.")
    where.add_argument(
        "--fd",
        type=_number,
        default=argparse.SUPPRESS,
        metavar="N",
        help="Descriptor of a socket that listens already.",
    )
    where.add_argument(
        "--workers", type=_workers, metavar="N",
        help="Processes that serve there together, each with its own handler; one as well can be replaced by SIGHUP. "
        "(default: this process alone)",
    )  # fmt: skip
    module = parser.add_argument_group("what is around the module")
    module.add_argument(
        "--app-dir",
        metavar="DIR",
        help="Folder in which modules are looked for first. (default: the working directory)",
    )
    module.add_argument(
        "--env-file", metavar="FILE",
        help="Environment variables, a line NAME=value each, but for those that are set already; needs python-dotenv.",
    )  # fmt: skip
    development = parser.add_argument_group("development")
    development.add_argument(
        "--reload", action="store_true",
        help="Replace the process when files of Python change, as SIGHUP does; needs watchfiles.",
    )  # fmt: skip
    development.add_argument(
        "--reload-dir", action="append", default=[], metavar="DIR",
        help="Folder in which that is seen, and below. May be repeated. (default: that of --app-dir)",
    )  # fmt: skip
    handler = parser.add_argument_group("the handler", "Not for a PooledEngine, which has its own settings.")
    _handler_option(
        handler, "codec", choices=("msgpack", "json", "raw"),
        help="How items leave Python, whatever clients get. (default: msgpack)",
    )  # fmt: skip
    _handler_option(
        handler, "unary", action=argparse.BooleanOptionalAction,
        help="The handler returns one value. (default: it does if it is a coroutine function)",
    )  # fmt: skip
    _handler_option(handler, "uvloop", action="store_true", help="Run it on uvloop, which has to be installed.")
    _add_server_options(parser)
    logs = parser.add_argument_group("logs, on standard error")
    _add_server_option(logs, "access_log", descriptions(ServeOptions).get("access_log", ""))
    logs.add_argument(
        "--log-level", choices=LEVELS, default="info",
        help="Least level of what Python logs; debug: a failed start shows its traceback. (default: info)",
    )  # fmt: skip
    memory = parser.add_argument_group("memory of the process, see pybridge.configure_memory")
    for name, metavar, text in MEMORY:
        option = f"--{name.replace('_', '-')}"
        add_field(memory, MemoryConfig, name, option, f"memory.{name}", text, metavar=metavar)
    for prefix, config in CONFIGS.items():
        title = f"{config.__name__}: {ABOUT[prefix]}; also {config.environment}<FIELD> in the environment"
        group, texts = parser.add_argument_group(title), descriptions(config)
        for field in dataclasses.fields(config):
            text = as_typed(prefix, texts.get(field.name, ""))
            add_field(group, config, field.name, option_of(prefix, field.name), f"{prefix}.{field.name}", text)
    parser.add_argument("--child", type=_child, help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def _handler_option(group: Any, name: str, **more: Any) -> None:
    group.add_argument(f"--{name}", dest=f"handler.{name}", default=argparse.SUPPRESS, **more)


def _add_server_options(parser: argparse.ArgumentParser) -> None:
    texts = descriptions(ServeOptions)
    for title, names in GROUPS.items():
        group = parser.add_argument_group(title)
        for name in names:
            _add_server_option(group, name, texts.get(name, ""))


def _add_server_option(group: Any, name: str, text: str) -> None:
    dest, option = f"server.{name}", option_of("server", name)
    text = as_typed("server", text)
    more: dict[str, Any] = {"metavar": WORDS[name]} if name in WORDS else {}
    if name in ("health", "metrics"):
        pages = "/health/live and /health/ready" if name == "health" else "/metrics"
        group.add_argument(
            option, dest=dest, action="store_false", default=argparse.SUPPRESS, help=f"Do not answer {pages}."
        )
    elif name == "api_keys":
        group.add_argument(
            option, dest="api_key_env", action="append", default=[], **more,
            help="Environment variable with the keys of which clients must send one, as Authorization: Bearer or "
            "X-API-Key; separated by spaces or commas. May be repeated. (default: they need none)",
        )  # fmt: skip
    elif name == "forwarded_allow_ips":
        text = f"{text} Separated by commas."
        group.add_argument(option, dest=dest, type=_listed, default=argparse.SUPPRESS, help=text, **more)
    elif name in REPEATED:
        add_field(group, ServerSettings, name, option, dest, f"{text} May be repeated.", action="append", **more)
    else:
        add_field(group, ServerSettings, name, option, dest, text, **more)


def option_of(prefix: str, field: str) -> str:
    """The option that sets a field, for messages."""
    if prefix in CONFIGS:
        return f"--{prefix}-{field.replace('_', '-')}"
    if prefix == "handler":
        return {"loop": "--uvloop", "codec": "--codec"}.get(field, field)
    if field == "api_keys":
        return "--api-key-env"
    if field in ("health", "metrics"):
        return f"--no-{field}"
    return f"--{REPEATED.get(field, field).replace('_', '-')}"


def as_typed(prefix: str, text: str) -> str:
    """A text in which the fields of some settings are the options that set them; names of one word stay as they are."""
    kind = {"server": ServerSettings, "memory": MemoryConfig, **CONFIGS}.get(prefix)
    if kind is None:
        return text
    names = [field.name for field in dataclasses.fields(kind) if "_" in field.name]
    return re.sub(rf"\b({'|'.join(names)})\b", lambda name: option_of(prefix, name[0]), text)


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, not {text!r}") from None


def _workers(text: str) -> int:
    number = _number(text)
    most = max(LEAST_MAX_WORKERS, WORKERS_PER_PROCESSOR * (os.cpu_count() or 1))
    if not 1 <= number <= most:
        raise argparse.ArgumentTypeError(f"must be from 1 to {most} on this machine, not {number}")
    return number


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _child(text: str) -> Child:
    descriptors, channel, lock, peers = text.split(":", 3)
    return Child(tuple(map(int, descriptors.split(","))), int(channel), int(lock), Path(peers))
