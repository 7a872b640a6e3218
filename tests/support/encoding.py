"""Refusals of the encoder, and overrides that it must not call."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest

import pybridge
from pybridge import EncodeError


def refusal(value: object, codec: Any = "msgpack") -> EncodeError:
    """The error that encoding the value raises; fails where it raises none."""
    with pytest.raises(EncodeError) as caught:
        pybridge.encode(value, codec)
    return caught.value


class Loud:
    """A mixin of overrides that must not be called."""

    def fail(self, *_: object, **__: object) -> NoReturn:
        raise AssertionError("an overridden method was called")

    __iter__ = __len__ = __getitem__ = __contains__ = __str__ = __bool__ = __index__ = __float__ = __fspath__ = fail
    keys = items = values = fail
