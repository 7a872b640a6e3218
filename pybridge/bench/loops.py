"""Event loops for the lanes."""

import asyncio
import threading
from collections.abc import Callable

from pybridge.bench.protocol import Loop


def loop_factory(kind: Loop) -> Callable[[], asyncio.AbstractEventLoop]:
    """What makes a new loop of this kind.

    Raises:
        ValueError: uvloop is wanted and not installed.
    """
    if kind == "asyncio":
        return asyncio.new_event_loop
    try:
        import uvloop  # noqa: PLC0415 - optional
    except ImportError as error:
        raise ValueError("uvloop is not installed: pip install uvloop") from error
    return uvloop.new_event_loop


def loop_in_thread(kind: Loop) -> asyncio.AbstractEventLoop:
    """A loop that runs in a thread of its own until the process ends, as the usual bridges have it."""
    loop = loop_factory(kind)()
    threading.Thread(target=loop.run_forever, name=f"{kind}-loop", daemon=True).start()
    return loop
