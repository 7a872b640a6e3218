"""Reloads while a handler is being written: changed files have the process replaced, as SIGHUP does."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pybridge._serve_command.start_errors import needed_by, say


def watch(folders: Sequence[Path]) -> None:
    """Sends this process SIGHUP when files of Python in these folders, or below, have changed. Does not block.

    Raises:
        StartError: watchfiles is not installed.
    """
    watchfiles = needed_by("--reload", "watchfiles")
    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # the files are named below
    # It waits until nothing has changed for a moment: an editor writes a file in several steps.
    changes = watchfiles.watch(*folders, watch_filter=watchfiles.PythonFilter(), raise_interrupt=False)
    threading.Thread(target=_pass_on, args=(changes,), name="pybridge-reload", daemon=True).start()


def _pass_on(changes: Iterable[set[tuple[Any, str]]]) -> None:
    try:
        for changed in changes:
            say(f"changed: {', '.join(sorted(os.path.relpath(path) for _, path in changed))}", logging.INFO)
            os.kill(os.getpid(), signal.SIGHUP)
    except OSError as error:
        say(f"changes are not seen any more: {error.strerror or error}")
