"""Files of results: those of the Python whose figures are judged under their own name, those of others beside them."""

import json
import sys
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
JUDGED_PYTHON = (3, 11)
"""The CPython that targets and bounds are for."""


def stored(name: str) -> Path:
    """The file with the figures of this Python: `streams.json`, or `streams-3.14.json`."""
    version = sys.version_info[:2]
    return RESULTS / (f"{name}.json" if version == JUDGED_PYTHON else f"{name}-{version[0]}.{version[1]}.json")


def judged_beside(name: str) -> dict[str, Any] | None:
    """The figures to compare with where those of this Python are not the judged ones."""
    judged = RESULTS / f"{name}.json"
    if stored(name) == judged or not judged.exists():
        return None
    document: dict[str, Any] = json.loads(judged.read_text(encoding="utf-8"))
    return document


def write(name: str, document: dict[str, Any], page: str) -> None:
    """Writes the figures, and the page beside them."""
    RESULTS.mkdir(exist_ok=True)
    file = stored(name)
    file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    file.with_suffix(".md").write_text(page, encoding="utf-8")
