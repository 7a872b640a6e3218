"""Command-line options made of the fields of settings."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
from typing import Any

from pybridge.settings import Default, Settings, Text


def descriptions(documented: type) -> dict[str, str]:
    """What the docstring of a class says of its attributes, each on one line; nothing under `python -OO`."""
    _, _, section = (inspect.getdoc(documented) or "").partition("Attributes:\n")
    section, _, _ = section.partition("\n\n")
    entries = re.split(r"^ {4}(\w+): ", section, flags=re.MULTILINE)[1:]
    return {
        name: " ".join(text.replace("`", "").replace("%", "%%").split())
        for name, text in zip(entries[::2], entries[1::2], strict=True)
    }


def add_field(group: Any, config: type[Settings], field: str, option: str, dest: str, text: str, **more: Any) -> None:
    """Adds the option for one field. What is not given does not show in the options."""
    default = next(spec.default for spec in dataclasses.fields(config) if spec.name == field)  # type: ignore[arg-type]
    value = default.value if isinstance(default, Default) else default
    known = f" (default: {value})" if value not in (None, (), "") and not isinstance(value, bool) else ""
    more.setdefault("metavar", _metavar(value))
    group.add_argument(option, dest=dest, default=argparse.SUPPRESS, type=Text, help=f"{text}{known}", **more)


def add_fields(parser: argparse.ArgumentParser, title: str, config: type[Settings], prefix: str) -> None:
    """Adds an option for each field of `config`: `--flow-high-water` with the prefix `flow`."""
    group = parser.add_argument_group(title)
    texts = descriptions(config)
    for spec in dataclasses.fields(config):  # type: ignore[arg-type]  # every subclass is a dataclass
        option = f"--{prefix}-{spec.name.replace('_', '-')}"
        add_field(group, config, spec.name, option, f"{prefix}.{spec.name}", texts.get(spec.name, ""))


def given(options: argparse.Namespace, prefix: str) -> dict[str, Any]:
    """The fields below a prefix that the command line has given."""
    return {
        name.removeprefix(f"{prefix}."): value for name, value in vars(options).items() if name.startswith(f"{prefix}.")
    }


def _metavar(default: object) -> str:
    if isinstance(default, bool):
        return "yes|no"
    if isinstance(default, float):
        return "SECONDS"
    return "SIZE" if isinstance(default, str) and default[:1].isdigit() else "N" if isinstance(default, int) else "X"
