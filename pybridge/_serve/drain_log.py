"""The lines in the log about a server that drains: its beginning and its end."""

from __future__ import annotations

import logging

from pybridge._serve.settings import ServerSettings

_log = logging.getLogger("pybridge.server")


def tell_beginning(running: int, settings: ServerSettings, *, is_replaced: bool) -> None:
    """Says that the server takes no new requests any more, and how long those that run may take."""
    requests = "no request is running" if not running else f"{_requests(running)} running"
    within = f"{settings.drain_timeout:g} s"
    if is_replaced:
        _log.info("leaving: another process takes new requests; %s, time to end: %s", requests, within)
    elif settings.drain_settle:
        _log.info("draining in %g s: %s, time to end after that: %s", settings.drain_settle, requests, within)
    else:
        _log.info("draining: %s, time to end: %s", requests, within)


def tell_end(finished: int, cut_off: int, *, is_over: bool) -> None:
    """Says what became of the requests that ran."""
    if not is_over:
        _log.error("drained: %d finished, %d cut off, and a handler did not end when it was told to", finished, cut_off)
    elif cut_off:
        _log.warning("drained: %d finished, %d cut off", finished, cut_off)
    else:
        _log.info("drained: all requests have ended")


def _requests(number: int) -> str:
    return "1 request is" if number == 1 else f"{number} requests are"
