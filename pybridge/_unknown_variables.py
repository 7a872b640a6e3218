"""The check for environment variables that look like settings and are none."""

from __future__ import annotations

import dataclasses
import difflib
import os

from pybridge.config import FlowConfig, Limits, MemoryConfig, PoolConfig

PREFIX = "PYBRIDGE_"
"""What the variables of all settings begin with."""

KINDS = (PoolConfig, FlowConfig, Limits, MemoryConfig)
"""Settings that can come from the environment."""


def known_variables() -> list[str]:
    """The variables of all settings."""
    variables = (kind.variable(field.name) for kind in KINDS for field in dataclasses.fields(kind))
    return [variable for variable in variables if variable is not None]


def unknown_variables() -> dict[str, str | None]:
    """The variables that are set and belong to no setting, each with the one that may be meant."""
    known = known_variables()
    set_here = (name for name in sorted(os.environ) if name.upper().startswith(PREFIX))
    return {name: _meant(name, known) for name in set_here if name not in known}


def is_of_settings(name: str) -> bool:
    """Whether the variable begins like those of some settings."""
    return name.upper().startswith(tuple(str(kind.environment) for kind in KINDS))


def _meant(name: str, known: list[str]) -> str | None:
    rests = [variable.removeprefix(PREFIX) for variable in known]
    near = difflib.get_close_matches(name.upper().removeprefix(PREFIX), rests, n=1, cutoff=0.7)
    return f"{PREFIX}{near[0]}" if near else None
