"""The events of a build: pages from elsewhere, pages made from the code, links that leave the folder of documents."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from website import links, reference, statuses, variables

ROOT = Path(__file__).parents[1]
RESULTS = [path.relative_to(ROOT).as_posix() for path in sorted(ROOT.glob("bench/results/*.md"))]
ELSEWHERE = ["CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", *RESULTS]
"""Documents outside `docs` that are pages as well, each at its path in the repository."""

PICTURES = [path.relative_to(ROOT).as_posix() for path in sorted(ROOT.glob("bench/results/*.png"))]
"""Those that such pages show."""

log = get_plugin_logger("website")


def on_files(files: Files, config: Any) -> Files:
    """Adds the documents that lie elsewhere, and those that are made from the code."""
    made = {**reference.pages(), "reference/variables.md": variables.page(), "reference/statuses.md": statuses.page()}
    made |= {name: (ROOT / name).read_text() for name in ELSEWHERE}
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    for name in PICTURES:
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Page, config: Any, files: Files) -> str:
    """Lets links lead to pages of the site where there is one, else to the file in the repository."""
    if page.file.src_uri == "guarantees.md":
        markdown = links.with_anchors(markdown)
    return links.rewritten(markdown, page.file.src_uri, {file.src_uri for file in files})


def on_post_page(output: str, page: Page, config: Any) -> str:
    """Warns, and a strict build fails, where a page would load something from another machine."""
    for tag in re.findall(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=.?(?:https?:)?//[^>]*>", output):
        log.warning("%s asks another machine: %s", page.file.src_uri, tag)
    return output
