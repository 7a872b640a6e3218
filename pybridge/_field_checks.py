"""Checks of values of settings: each gives the normalised value, or says what it must be."""

from __future__ import annotations

import contextlib
import inspect
import math
from collections.abc import Callable
from typing import Any

from pybridge._sizes import MAX_SIZE, format_size, parse_size

MAX_SECONDS = 315_360_000.0
"""Longest duration that may be asked for: ten years."""

Check = Callable[[Any], Any]
"""Gives the normalised value or raises `ValueError` with the reason."""


class Text(str):
    """A value from the environment: text that may stand for a number, a truth value or None."""

    __slots__ = ()


def size(minimum: int = 0, maximum: int = MAX_SIZE, multiple: int = 1) -> Check:
    """A size in bytes within bounds, a multiple of `multiple`; see `parse_size` for what is taken."""

    def check(value: object) -> int:
        number = parse_size(value)
        if not minimum <= number <= maximum:
            raise ValueError(_range(_exact(minimum), None if maximum == MAX_SIZE else _exact(maximum), value))
        if number % multiple:
            raise ValueError(f"must be a multiple of {format_size(multiple)}, not {shown(value)}")
        return number

    return check


def count(minimum: int = 0, maximum: int = MAX_SIZE) -> Check:
    """A whole number within bounds."""

    def check(value: object) -> int:
        if isinstance(value, Text) and len(value) <= 32:
            with contextlib.suppress(ValueError):
                value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"must be a whole number, not {shown(value)}")
        if not minimum <= value <= maximum:
            has_no_end = maximum == MAX_SIZE and value < minimum
            raise ValueError(_range(f"{minimum}", None if has_no_end else f"{maximum}", value))
        return int(value)

    return check


def seconds(*, zero: bool = False) -> Check:
    """A duration in seconds of at most ten years, above zero, or zero as well."""

    def check(value: object) -> float:
        number = math.nan
        if isinstance(value, int | float | Text) and not isinstance(value, bool):
            with contextlib.suppress(ValueError, OverflowError):
                number = float(value)
        if not math.isfinite(number):
            raise ValueError(f"must be a finite number of seconds, not {shown(value)}")
        if number < 0 or (number == 0 and not zero):
            raise ValueError(f"must be {'at least' if zero else 'above'} 0 seconds, not {shown(value)}")
        if number > MAX_SECONDS:
            raise ValueError(f"must be at most {MAX_SECONDS:,.0f} seconds, not {shown(value)}")
        return number

    return check


def optional(inner: Check) -> Check:
    """None, in the environment also `none` or nothing, or what `inner` takes."""

    def check(value: object) -> object:
        if value is None or (isinstance(value, Text) and value.strip().lower() in {"", "none"}):
            return None
        return inner(value)

    return check


def switch(value: object) -> bool:
    """True or False, in the environment also `1`, `true`, `yes`, `on` and their opposites."""
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, Text) else None
    if word in {"1", "true", "yes", "on"}:
        return True
    if word in {"0", "false", "no", "off"}:
        return False
    raise ValueError(f"must be True or False, not {shown(value)}")


def choice(*options: str) -> Check:
    """One of a few words."""

    def check(value: object) -> str:
        if not isinstance(value, str) or value not in options:
            raise ValueError(f"must be one of {', '.join(map(repr, options))}, not {shown(value)}")
        return str(value)

    return check


def hook(value: object) -> object:
    """A callable that is no coroutine function, or None."""
    if value is not None and not callable(value):
        raise ValueError(f"must be a callable or None, not {shown(value)}")
    if inspect.iscoroutinefunction(value) or inspect.isasyncgenfunction(value):
        raise ValueError("must return its answer, not a coroutine or an async generator")
    return value


def shown(value: object) -> str:
    """What a message says of a wrong value: short, whatever its `repr` may be or do."""
    if isinstance(value, str):
        return repr(value[:64])
    if isinstance(value, float) or (isinstance(value, int) and abs(value) < 1e30):
        return repr(value)
    return f"a value of type {type(value).__name__}"


def _exact(bound: int) -> str:
    text = format_size(bound)
    return text if parse_size(text) == bound else f"{bound} bytes"


def _range(low: str, high: str | None, value: object) -> str:
    bound = f"at least {low}" if high is None else f"between {low} and {high}"
    return f"must be {bound}, not {shown(value)}"
