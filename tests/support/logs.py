"""The log records of a test."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

_ABOUT_TIME = ("Executing <", "stood still for", "has not turned for")


def reports(caplog: pytest.LogCaptureFixture) -> list[str]:
    """All messages but remarks on slow loops, which a loaded machine adds anywhere."""
    messages = [record.getMessage() for record in caplog.records]
    return [message for message in messages if not any(words in message for words in _ABOUT_TIME)]
