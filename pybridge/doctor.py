"""`pybridge doctor`: what this machine and this process offer, in words."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import importlib.util
import json
import os
import platform
import sys
from collections.abc import Container, Iterator
from typing import Any, TypeVar

from pybridge import __version__, _system
from pybridge._configure_memory import memory_obstacles
from pybridge._sizes import format_size
from pybridge._unknown_variables import KINDS, PREFIX, unknown_variables
from pybridge._worker import thread_parking
from pybridge.config import FlowConfig, Limits, MemoryConfig, PoolConfig
from pybridge.errors import ConfigError
from pybridge.memory import memory

Report = dict[str, dict[str, str]]
"""Sections of named findings."""

_Config = TypeVar("_Config", PoolConfig, FlowConfig, Limits, MemoryConfig)

OPTIONAL_PACKAGES = ("uvloop", "msgspec", "orjson", "rich", "matplotlib")


def add_command(commands: Any) -> None:
    """Adds `doctor` to the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "doctor", help="tell versions, allocator, limits and what configure_memory can do here"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints the report, and before it what is wrong with the environment; gives 1 if something is, else 0."""
    settings = EffectiveSettings()
    for message in settings.wrong.values():
        print(f"pybridge: {message}", file=sys.stderr)
    report = _report(settings)
    print(json.dumps(report, indent=2) if options.json else "\n".join(_lines(report)))
    return 1 if settings.wrong else 0


def examine() -> Report:
    """Looks at the process and the machine; changes nothing."""
    return _report(EffectiveSettings())


def _report(settings: EffectiveSettings) -> Report:
    return {
        "versions": _versions(),
        "machine": _machine(),
        "memory": _memory(),
        "event loop": _event_loop(),
        "configure_memory": _configure_memory(),
        "pool settings": _settings(settings.pool, settings.wrong),
        "flow settings": _settings(settings.flow, settings.wrong),
        "limits": _settings(settings.limits, settings.wrong),
        "memory settings": _settings(settings.memory, settings.wrong),
        "environment": _environment(settings),
    }


def _lines(report: Report) -> Iterator[str]:
    for section, findings in report.items():
        yield section
        width = max(map(len, findings))
        for name, finding in findings.items():
            yield f"  {name:<{width}}  {finding}"


def _versions() -> dict[str, str]:
    findings = {
        "pybridge-engine": __version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}, {sys.executable}",
    }
    for package in OPTIONAL_PACKAGES:
        try:
            findings[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            findings[package] = "not installed"
    return findings


THREADS_AT_EXIT = {
    "on": "parked where they are below pybridge when the interpreter goes",
    "not needed": "left to the interpreter: nothing unwinds them",
    "missing": "CAN ABORT THE PROCESS: this C library lacks _pthread_cleanup_push; join threads that use pybridge",
}
"""What becomes of the program's daemon threads, by `thread_parking`."""


def _machine() -> dict[str, str]:
    usable, present = _system.usable_processors(), os.cpu_count()
    limit, source = _system.memory_limit()
    return {
        "platform": platform.platform(),
        "processors": f"{usable} usable" + ("" if usable == present else f" of {present}"),
        "memory limit": f"{format_size(limit)} ({source})",
        "threads at exit": THREADS_AT_EXIT[thread_parking()],
    }


def _memory() -> dict[str, str]:
    limit, _ = _system.memory_limit()
    now = memory()
    arenas = os.environ.get("MALLOC_ARENA_MAX")
    ceiling = f"MALLOC_ARENA_MAX={arenas}" if arenas else "8 per processor"
    known = now.malloc_in_use or now.malloc_free
    return {
        "resident": f"{format_size(now.resident)} in RAM, of this process as it is now",
        "pybridge's": f"{format_size(now.pool_live)} in use, {format_size(now.pool_parked)} parked for the next use",
        "malloc's": (
            f"{format_size(now.malloc_in_use)} in use, {format_size(now.malloc_free)} free but kept: the part that"
            ' idle_release="malloc" gives back'
            if known
            else f"unknown: {_obstacle('malloc')}"
        ),
        "Python's": f"{now.python_blocks:,} small objects, in arenas of their own that go back when wholly empty",
        "malloc": _system.malloc_name(),
        "malloc arenas": f"{now.malloc_arenas} now, at most {ceiling}" if known else "unknown",
        "python allocator": _system.python_allocator(),
        "max_live_bytes": f"{format_size(min(limit // 4, 2**30))} by default: a quarter of the limit, at most 1 GiB",
        "if it stays high": (
            'configure_memory(python_allocator="system") where small objects survive requests (caches, histories);'
            " FlowConfig(max_held_bytes=...) where the peak itself is too high"
        ),
    }


def _event_loop() -> dict[str, str]:
    uvloop = importlib.util.find_spec("uvloop") is not None
    return {
        "asyncio": "available",
        "uvloop": 'available: Worker(loop="uvloop")' if uvloop else "not installed: pip install uvloop",
        "wake-up": "eventfd" if hasattr(os, "eventfd") else "socket pair",
    }


def _configure_memory() -> dict[str, str]:
    effects = {
        'idle_release="malloc"': ("malloc", "gives free pages of malloc back, in 10 to 20 ms on a thread of its own"),
        'idle_release="all"': ("python", "the default: empties Python's free lists too, 30 ms on a worker's loop"),
        "tune_malloc": (
            "tune_malloc",
            "gives large blocks back at once, at 3 times the CPU for each; irreversible",
        ),
        'python_allocator="system"': ("system_allocator", "possible; a few per cent of CPU; irreversible"),
    }
    instead = {"python": 'acts as "malloc"'}
    return {
        name: effect if (reason := _obstacle(key)) is None else f"{instead.get(key, 'does nothing')}: {reason}"
        for name, (key, effect) in effects.items()
    }


def _obstacle(key: str) -> str | None:
    reason = memory_obstacles().get(key)
    if key == "python":
        reason = reason or memory().python_kept
    if reason is not None and key == "system_allocator":
        return f"{reason} ({_system.python_allocator()})"
    return reason


UNSET = {
    "max_live_bytes": "see memory above",
    "low_water": "a quarter of high_water",
    "write_timeout": "no limit",
    "abandon_timeout": "never",
    "max_concurrency": "no limit",
    "max_queue": "no limit",
    "max_held_bytes": "a quarter of the memory limit",
}
"""What a setting means that is None."""


Environment = PoolConfig | FlowConfig | Limits | MemoryConfig
"""Settings that can come from the environment."""


class EffectiveSettings:
    """The settings that the environment gives, with the default in the place of each that cannot be.

    Attributes:
        wrong: What is wrong, by variable.
    """

    def __init__(self) -> None:
        self.wrong: dict[str, str] = {}
        self.pool = self._read(PoolConfig)
        self.flow = self._read(FlowConfig)
        self.limits = self._read(Limits)
        self.memory = self._read(MemoryConfig)

    def all(self) -> tuple[Environment, ...]:
        """The settings of each kind."""
        return self.pool, self.flow, self.limits, self.memory

    def _read(self, kind: type[_Config]) -> _Config:
        defaults = {field.name: field.default.value for field in dataclasses.fields(kind)}
        instead: dict[str, Any] = {}
        while True:
            try:
                return kind(**instead)
            except ConfigError as error:
                if error.field in instead:
                    raise
                self.wrong[str(kind.variable(error.field))] = str(error)
                instead[error.field] = defaults[error.field]


def _settings(config: Environment, wrong: Container[str]) -> dict[str, str]:
    findings = {}
    for field in dataclasses.fields(config):
        variable = config.variable(field.name)
        source = f" (from {variable})" if variable in os.environ and variable not in wrong else ""
        findings[field.name] = _shown(field.name, getattr(config, field.name)) + source
    return findings


def _environment(settings: EffectiveSettings) -> dict[str, str]:
    findings = {
        str(variable): f"in effect: {_shown(field.name, getattr(config, field.name))}"
        for config in settings.all()
        for field in dataclasses.fields(config)
        if (variable := config.variable(field.name)) in os.environ
    }
    findings |= {name: f"WRONG: {reason}" for name, reason in settings.wrong.items()}
    findings |= {name: _unknown(meant) for name, meant in unknown_variables().items()}
    return dict(sorted(findings.items())) or {f"{PREFIX}*": "none is set"}


def _unknown(meant: str | None) -> str:
    if meant is not None:
        return f"UNKNOWN, no effect: did you mean {meant}?"
    kinds = sorted(f"{kind.environment}<FIELD>" for kind in KINDS)
    return f"UNKNOWN, no effect: there are {', '.join(kinds)}"


def _shown(name: str, value: object) -> str:
    match value:
        case None:
            return UNSET[name]
        case bool():
            return "on" if value else "off"
        case int() if name.endswith("_bytes") or name in {"high_water", "low_water", "min_gain"}:
            return format_size(value)
        case float():
            return f"{value:g} s"
    return str(value)
