"""Command-line options made of the fields of settings."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
from typing import Any

from pybridge._field_checks import Text
from pybridge._settings import Default, Settings

METAVARS = {
    "flush": "turn|suspend",
    "duplicate_keys": "last|error",
    "max_live_bytes": "SIZE|none",
    "low_water": "SIZE|none",
    "max_held_bytes": "SIZE|none",
    "write_timeout": "SECONDS|none",
    "abandon_timeout": "SECONDS|none",
    "max_concurrency": "N|none",
    "max_queue": "N|none",
}
"""What stands for the values of fields whose default does not say it."""


def descriptions(documented: type) -> dict[str, str]:
    """What the docstring of a class says of its attributes, each on one line; nothing under `python -OO`."""
    _, _, section = (inspect.getdoc(documented) or "").partition("Attributes:\n")
    section, _, _ = section.partition("\n\n")
    entries = re.split(r"^ {4}(\w+): ", section, flags=re.MULTILINE)[1:]
    return {
        name: " ".join(text.replace("`", "").replace("%", "%%").replace("None:", "none:").split())
        for name, text in zip(entries[::2], entries[1::2], strict=True)
    }


def add_field(group: Any, config: type[Settings], field: str, option: str, dest: str, text: str, **more: Any) -> None:
    """Adds the option for one field. What is not given does not show in the options."""
    default = next(spec.default for spec in dataclasses.fields(config) if spec.name == field)  # type: ignore[arg-type]
    value = default.value if isinstance(default, Default) else default
    # Where nothing is the default, the text says what that means.
    known = "" if value in (None, (), "") and "none:" not in text else f" (default: {_shown(value)})"
    more.setdefault("metavar", METAVARS.get(field) or _metavar(value))
    group.add_argument(option, dest=dest, default=argparse.SUPPRESS, type=Text, help=f"{text}{known}", **more)


def given(options: argparse.Namespace, prefix: str) -> dict[str, Any]:
    """The fields below a prefix that the command line has given."""
    return {
        name.removeprefix(f"{prefix}."): value for name, value in vars(options).items() if name.startswith(f"{prefix}.")
    }


def _shown(default: object) -> str:
    match default:
        case None | ():
            return "none"
        case bool():
            return "yes" if default else "no"
        case float():
            return f"{default:g}"
    return str(default)


def _metavar(default: object) -> str:
    if isinstance(default, bool):
        return "yes|no"
    if isinstance(default, float):
        return "SECONDS"
    return "SIZE" if isinstance(default, str) else "N"
