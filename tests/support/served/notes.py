"""Notes of handlers for tests in another process: a line each, in a file that the test names."""

from __future__ import annotations

import os
import time

_file = os.open(os.environ.get("SERVED_NOTES", os.devnull), os.O_WRONLY | os.O_APPEND)


def note(request_id: str, event: str) -> None:
    """Writes one line, whole: the request, the event, and when it was on the system's monotonic clock."""
    os.write(_file, f"{request_id}\t{event}\t{time.monotonic()}\n".encode())
