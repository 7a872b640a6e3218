"""Sizes in bytes as people write them."""

from __future__ import annotations

import re
from fractions import Fraction

_UNITS = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
_SIZE = re.compile(r"(\d{1,19})(\.\d{1,9})?\s*([a-z]{0,3})", re.ASCII | re.IGNORECASE)

MAX_SIZE = 2**63 - 1
"""The largest size that is accepted; what a signed 64-bit integer holds."""


def parse_size(value: object) -> int:
    """Gives a size in bytes.

    Takes an integer, or a string such as `"64KiB"`, `"1.5 MiB"`, `"10MB"` or `"65536"`; `KiB` is 1,024 bytes,
    `KB` is 1,000.

    Raises:
        ValueError: Not a size, not a whole number of bytes, negative, or above `MAX_SIZE`.
    """
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"a size is an integer or a string such as '64KiB', not {type(value).__name__}")
    size = _parse_text(value) if isinstance(value, str) else int(value)
    if not 0 <= size <= MAX_SIZE:
        given = size if abs(size) < 10**30 else "one far beyond"
        raise ValueError(f"a size lies between 0 and {MAX_SIZE} bytes, not {given}")
    return size


def _parse_text(text: str) -> int:
    match = _SIZE.fullmatch(text.strip()) if len(text) <= 64 else None
    unit = _UNITS.get(match[3].lower()) if match else None
    if match is None or unit is None:
        raise ValueError(f"{text[:64]!r} is not a size such as '64KiB', '1.5MiB' or '65536'")
    size = Fraction(match[1] + (match[2] or "")) * unit
    if size.denominator != 1:
        raise ValueError(f"{text!r} is not a whole number of bytes")
    return int(size)


def format_size(size: int) -> str:
    """Gives a size in bytes as text with a binary unit, for people: `64 KiB`, `1.5 MiB`, `17 B`."""
    amount = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(amount) < 1024:
            return f"{amount:.4g} {unit}"
        amount /= 1024
    return f"{amount:,.4g} TiB"
