"""The forms in which an engine is called from Python."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from pybridge import PooledEngine

from support.consumers import collect

FORMS: dict[str, Callable[[PooledEngine], Awaitable[Any]]] = {
    "items": lambda engine: collect(engine(None)),
    "frames": lambda engine: collect(engine.frames(None)),
    "chunks": lambda engine: collect(engine.chunks(None)),
    "call": lambda engine: engine.call(None),
    "encoded": lambda engine: engine.call(b"\xc0", encoded="msgpack"),
    "iter": lambda engine: asyncio.to_thread(lambda: list(engine.iter(None))),
}
"""Each makes one call with the request None, which gives one item, and takes all that it gives."""
