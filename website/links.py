"""Links of a document as they lead on the site."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection
from pathlib import Path

ROOT = Path(__file__).parents[1]
REPOSITORY = "https://github.com/pybridge-engine/pybridge/blob/main/"
MOVED = {"README.md": "quickstart.md", "pybridge/stats.py": "reference/statistics.md"}
"""What the site has in another form."""

LINK = re.compile(r"(\]\(|^\[[^\]\n]+\]:\s*)([^)\s#]+)((?:#[^)\s]*)?)", re.MULTILINE)
CODE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def rewritten(text: str, page: str, pages: Collection[str]) -> str:
    """The text of a page with its links adapted; code stays as it is."""
    parts, end = [], 0
    for code in CODE.finditer(text):
        parts += [_adapted(text[end : code.start()], page, pages), code[0]]
        end = code.end()
    return "".join([*parts, _adapted(text[end:], page, pages)])


def _adapted(prose: str, page: str, pages: Collection[str]) -> str:
    return LINK.sub(lambda link: f"{link[1]}{_target(link[2], page, pages)}{link[3]}", prose)


def _target(target: str, page: str, pages: Collection[str]) -> str:
    if target.startswith(REPOSITORY):
        path = target.removeprefix(REPOSITORY)
    elif "://" in target or target.startswith("mailto:"):
        return target
    else:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source_of(page)), target))
    path = MOVED.get(path, path)
    uri = path.removeprefix("docs/")
    if uri in pages:
        return posixpath.relpath(uri, posixpath.dirname(page) or ".")
    return f"{REPOSITORY}{path}" if path.startswith("docs/") is False and (ROOT / path).exists() else target


def with_anchors(text: str) -> str:
    """The document of the guarantees, with the number of each row as its id; other numbers lead there."""
    pattern = r"`[^`\n]*`|^\| (?P<row>[A-Z]-\d\d) \||\b(?P<other>[A-Z]-\d\d)\b"
    return re.sub(pattern, _anchored, text, flags=re.MULTILINE)


def _anchored(found: re.Match[str]) -> str:
    if row := found["row"]:
        return f"| [{row}](#{row.lower()}){{ #{row.lower()} }} |"
    if other := found["other"]:
        return f"[{other}](#{other.lower()})"
    return found[0]


def source_of(page: str) -> str:
    """The path in the repository of the document behind a page."""
    return f"docs/{page}" if (ROOT / "docs" / page).exists() else page
