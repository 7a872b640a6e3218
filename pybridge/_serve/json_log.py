"""Log records as lines of JSON, for those who read the access log in that form."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any


class JsonLines(logging.Formatter):
    """Makes an object of JSON in one line of each record: `time`, `level`, `logger`, `message`.

    `traceback` and `request_id` are there where the record has them.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        traceback = getattr(record, "traceback", None)
        if traceback is not None:
            # Those who read text have it behind the message.
            line["message"] = line["message"].removesuffix(f"\n{traceback}")
        elif record.exc_info:
            traceback = self.formatException(record.exc_info)
        more = {"traceback": traceback, "request_id": getattr(record, "request_id", None)}
        line.update((name, str(value)) for name, value in more.items() if value is not None)
        return json.dumps(line)
