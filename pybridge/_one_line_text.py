"""The check of text that must stay on one line of a log or header."""

from __future__ import annotations

import re

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_TOKEN = re.compile("[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def flaw_of(value: object) -> str | None:
    """What keeps a value from being such text; None: nothing."""
    if not isinstance(value, str):
        return f"must be text, not {value!r}"
    try:
        value.encode()
    except UnicodeEncodeError:
        return f"must not hold surrogates, as {value!r} does"
    return "must not hold control characters" if _CONTROL.search(value) else None


def is_token(text: str) -> bool:
    """Whether the text can be the name of a header (RFC 9110)."""
    return _TOKEN.fullmatch(text) is not None
