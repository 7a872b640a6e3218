"""The end of all streams, workers and the runtime when the interpreter exits."""

from __future__ import annotations

import atexit
import time

from pybridge import _pybridge
from pybridge._worker import EXIT_GRACE, JOIN_MARGIN, SHORT_GRACE, live_threads, stop_threads

EXIT_TIME = 3.0
"""Seconds that stopping everything may take at interpreter exit; the grace is two thirds of it."""


def stop_all(within: float = EXIT_TIME) -> None:
    """Ends all streams, workers and the runtime, within about `within` seconds, before the interpreter goes."""
    share = within / EXIT_TIME
    end = time.monotonic() + EXIT_GRACE * share
    _pybridge.close_engines(EXIT_GRACE * share)
    stop_threads(list(live_threads), max(end - time.monotonic(), SHORT_GRACE * share), JOIN_MARGIN * share)
    _pybridge.stop_runtime()


# At the first import of the package: what a program registers later runs while pybridge still works.
atexit.register(stop_all)
