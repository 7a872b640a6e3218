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
from collections.abc import Iterator
from typing import Any

from pybridge import machine
from pybridge.config import FlowConfig, PoolConfig
from pybridge.sizes import format_size

Report = dict[str, dict[str, str]]
"""Sections of named findings."""

OPTIONAL_PACKAGES = ("uvloop", "msgspec", "orjson", "rich", "matplotlib")


def add_command(commands: Any) -> None:
    """Adds `doctor` to the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "doctor", help="tell versions, allocator, limits and what configure_memory can do here"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints the report."""
    report = examine()
    print(json.dumps(report, indent=2) if options.json else "\n".join(_lines(report)))
    return 0


def examine() -> Report:
    """Looks at the process and the machine; changes nothing."""
    return {
        "versions": _versions(),
        "machine": _machine(),
        "memory": _memory(),
        "event loop": _event_loop(),
        "configure_memory": _configure_memory(),
        "pool settings": _settings(PoolConfig()),
        "flow settings": _settings(FlowConfig()),
    }


def _lines(report: Report) -> Iterator[str]:
    for section, findings in report.items():
        yield section
        width = max(map(len, findings))
        for name, finding in findings.items():
            yield f"  {name:<{width}}  {finding}"


def _versions() -> dict[str, str]:
    findings = {
        "pybridge-engine": importlib.metadata.version("pybridge-engine"),
        "python": f"{platform.python_implementation()} {platform.python_version()}, {sys.executable}",
    }
    for package in OPTIONAL_PACKAGES:
        try:
            findings[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            findings[package] = "not installed"
    return findings


def _machine() -> dict[str, str]:
    usable, present = machine.usable_processors(), os.cpu_count()
    limit, source = machine.memory_limit()
    return {
        "platform": platform.platform(),
        "processors": f"{usable} usable" + ("" if usable == present else f" of {present}"),
        "memory limit": f"{format_size(limit)} ({source})",
    }


def _memory() -> dict[str, str]:
    limit, _ = machine.memory_limit()
    arenas = os.environ.get("MALLOC_ARENA_MAX")
    ceiling = f"MALLOC_ARENA_MAX={arenas}" if arenas else "8 per processor"
    return {
        "resident": format_size(machine.resident_bytes()),
        "malloc": machine.malloc_name(),
        "malloc arenas": f"{machine.malloc_arenas()} now, at most {ceiling}" if machine.is_glibc() else "unknown",
        "python allocator": machine.python_allocator(),
        "max_live_bytes": f"{format_size(min(limit // 4, 2**30))} by default: a quarter of the limit, at most 1 GiB",
    }


def _event_loop() -> dict[str, str]:
    uvloop = importlib.util.find_spec("uvloop") is not None
    return {
        "asyncio": "available",
        "uvloop": 'available: Worker(loop="uvloop")' if uvloop else "not installed: pip install uvloop",
        "wake-up": "eventfd" if hasattr(os, "eventfd") else "socket pair",
    }


def _configure_memory() -> dict[str, str]:
    trim = machine.has_symbol("malloc_trim")
    frozen = machine.frozen_objects()
    refusal = machine.why_not_system_allocator()
    return {
        'idle_release="malloc"': "gives free pages of malloc back" if trim else "does nothing: no malloc_trim here",
        'idle_release="all"': (
            "also empties the free lists of Python"
            if not frozen
            else f"as malloc: gc.freeze() is in use ({frozen} objects), which must not be undone"
        ),
        "tune_malloc": (
            "keeps large blocks out of the heap; about 3 times the CPU per large block"
            if machine.has_symbol("mallopt") and machine.is_glibc()
            else "does nothing: malloc is not glibc's"
        ),
        'python_allocator="system"': "possible; irreversible" if refusal is None else f"does nothing: {refusal}",
    }


UNSET = {
    "max_live_bytes": "see memory above",
    "low_water": "a quarter of high_water",
    "write_timeout": "no limit",
    "max_concurrency": "no limit",
    "max_queue": "no limit",
    "max_held_bytes": "a quarter of the memory limit",
}
"""What a setting means that is None."""


def _settings(config: PoolConfig | FlowConfig) -> dict[str, str]:
    findings = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        variable = f"{config.environment}{field.name.upper()}"
        source = f" (from {variable})" if variable in os.environ else ""
        findings[field.name] = _shown(field.name, value) + source
    return findings


def _shown(name: str, value: object) -> str:
    match value:
        case None:
            return UNSET[name]
        case bool():
            return "on" if value else "off"
        case int() if name.endswith("_bytes") or name in {"high_water", "low_water"}:
            return format_size(value)
        case float():
            return f"{value:g} s"
    return str(value)
