"""Settings: frozen dataclasses that check their fields and read defaults from variables of the environment."""

from __future__ import annotations

import os
from dataclasses import Field, field, fields
from typing import Any, ClassVar

from pybridge._field_checks import Check, Text
from pybridge.errors import ConfigError


class Default:
    """The value of a field that was not given; equal arguments are told from it by their type."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value

    def __repr__(self) -> str:
        return repr(self.value)


def setting(default: object, check: Check) -> Any:
    """Declares a field with its default and the check that every value of it passes, the default included."""
    return field(default=Default(default), metadata={"check": check})


class Settings:
    """Base of frozen dataclasses whose fields are made by `setting`.

    A field that is not given takes its value from the environment variable `<environment><FIELD>` if the class names
    a prefix and the variable is set, else its default.

    Raises:
        ConfigError: A value that cannot be, naming its field.
    """

    __slots__ = ()
    environment: ClassVar[str | None] = None

    def __post_init__(self) -> None:
        for spec in fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            object.__setattr__(self, spec.name, self._settle(spec))

    @classmethod
    def variable(cls, field: str) -> str | None:
        """The environment variable of a field; None: the class reads none."""
        return f"{cls.environment}{field.upper()}" if cls.environment else None

    def origin(self, field: str) -> str | None:
        """The environment variable that a field is about to take its value from."""
        variable = self.variable(field) if isinstance(getattr(self, field), Default) else None
        return variable if variable is not None and variable in os.environ else None

    def _settle(self, spec: Field[Any]) -> object:
        value, origin = getattr(self, spec.name), self.origin(spec.name)
        if origin is not None:
            value = Text(os.environ[origin])
        elif isinstance(value, Default):
            value = value.value
        try:
            return spec.metadata["check"](value)
        except ValueError as error:
            raise ConfigError(spec.name, f"{error}{from_variable(origin)}") from None


def from_variable(variable: str | None) -> str:
    """What a message adds to a value that comes from an environment variable."""
    return "" if variable is None else f" (from {variable})"
