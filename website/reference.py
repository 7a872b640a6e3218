"""Pages of the Python reference: which public name stands on which page."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import pybridge


@dataclass(frozen=True)
class Group:
    """One page.

    Attributes:
        title: Its heading.
        about: What it is about, and where to read more.
        names: Names of `pybridge`, separated by spaces.
        parts: Names below `pybridge` of what those give: classes that nobody makes.
    """

    title: str
    about: str
    names: str
    parts: str = ""


GROUPS = {
    "engine": Group(
        "Engine and calls",
        "An engine is made once from a handler and called for each request. [Streams](../streams.md) tells how what it"
        " gives starts and ends.",
        "PooledEngine CallOptions Stream from_sync",
        "_pybridge.Awaited",
    ),
    "context": Group(
        "Contexts and endings",
        "What a handler can ask about its call, and how a stream ends that was cancelled."
        " [Streams](../streams.md#how-a-stream-ends) has all reasons.",
        "Context current_context StreamCancelled",
    ),
    "errors": Group(
        "Errors",
        "Each is a `PybridgeError`, and a built-in exception as well where one fits."
        " [What is worth another try](../streams.md#what-is-worth-another-try) has the status and verdict of each.",
        "PybridgeError PublicError InvalidArgument ConfigError EncodeError DecodeError LimitExceeded Overloaded"
        " PoolExhausted EngineClosed HandlerExit ForkError InternalError",
    ),
    "codecs": Group(
        "Codecs and frames",
        "From values to bytes and back: [Values](../values.md) has the table.",
        "encode decode MsgpackCodec JsonCodec RawCodec Frame",
    ),
    "serving": Group(
        "Serving",
        "`engine.asgi()` and `engine.response()` are on the page of the [engine](engine.md);"
        " [pybridge serve](../serve.md) is the same server from the command line.",
        "serve Server ServeOptions",
        "asgi.AsgiApp",
    ),
    "resources": Group(
        "Flow, pool, memory, workers",
        "How much may be in flight, how large a message may be, what memory is kept, and where handlers run."
        " [Variables and options](variables.md) has the same by environment variable.",
        "FlowConfig Limits PoolConfig Pool configure_memory memory Worker configure_runtime",
    ),
    "statistics": Group(
        "Statistics",
        "Snapshots of counters. `metrics_text` gives the same to Prometheus.",
        "EngineStats MemoryStats metrics_text",
        "stats.StreamStats stats.WorkerStats stats.FlowStats stats.PoolStats stats.PoolSegmentStats"
        " stats.PoolClassStats stats.Histogram stats.Release",
    ),
}
"""The pages, by their file names."""


def pages() -> dict[str, str]:
    """The pages in Markdown, for mkdocstrings.

    Raises:
        LookupError: A public name has no place, or two.
    """
    placed = sorted(name for group in GROUPS.values() for name in group.names.split())
    if placed != sorted({*pybridge.__all__} - {"__version__"}):
        different = {*placed} ^ ({*pybridge.__all__} - {"__version__"})
        raise LookupError(f"the reference and pybridge.__all__ differ: {different or 'a name is there twice'}")
    return {f"reference/{name}.md": _page(group) for name, group in GROUPS.items()}


def _page(group: Group) -> str:
    names = [*map(_path, group.names.split()), *(f"pybridge.{name}" for name in group.parts.split())]
    return "\n\n".join([f"# {group.title}", group.about, *(f"::: {name}" for name in names)]) + "\n"


def _path(name: str) -> str:
    """Where a public name is found; some functions have the name of their module."""
    return f"pybridge.{name}.{name}" if f"pybridge.{name}" in sys.modules else f"pybridge.{name}"
