"""The page of environment variables and command-line options, read off the settings themselves."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from pybridge._serve.settings import ServerSettings
from pybridge._serve_command.arguments import CONFIGS, option_of
from pybridge._unknown_variables import KINDS

HEAD = """# Variables and options

Every setting that an environment variable or an option of `pybridge serve` gives, read off the code. What they mean:
[settings](../settings.md), [the pool](../pool.md), [memory](../memory.md), [pybridge serve](../serve.md). An argument
in Python comes before its variable, and a variable before the default. `pybridge doctor` tells which variables are in
effect, and which are misspelt.
"""


def page() -> str:
    """The page in Markdown."""
    prefixes = {kind: prefix for prefix, kind in CONFIGS.items()}
    tables = [_table(kind, prefixes.get(kind, "memory"), kind.variable) for kind in KINDS]
    return "\n".join([HEAD, *tables, _table(ServerSettings, "server")])


def _table(kind: Any, prefix: str, variable: Callable[[str], str | None] | None = None) -> str:
    title = {"memory": "`configure_memory`", "server": "The server"}.get(prefix, f"`{kind.__name__}`")
    columns = ["setting", "default", *(["variable"] if variable else []), "option"]
    lines = [f"\n## {title}\n", f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    for field in dataclasses.fields(kind):
        names = [variable(field.name)] if variable else []
        cells = [field.name, repr(field.default), *names, option_of(prefix, field.name)]
        lines.append("| " + " | ".join(f"`{cell}`" for cell in cells) + " |")
    return "\n".join(lines)
