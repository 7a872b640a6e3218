from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.processes import PythonRunner

README = Path(__file__).parents[2] / "README.md"


def test_first_example_runs_as_it_stands(run_python: PythonRunner) -> None:
    match = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert match
    expected = [f'data: {{"token":"{word}"}}\n\n' for word in ("Hello", "pooled", "world")]
    assert run_python(match[1]) == "".join(expected)


def test_make_targets_that_documents_name_exist() -> None:
    root = README.parent
    targets = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(), re.MULTILINE))
    named = {
        target
        for document in (README, root / "CONTRIBUTING.md", *root.glob("docs/**/*.md"))
        for target in re.findall(r"(?:`|\$ )make ([a-z-]+)", document.read_text())
    }
    assert {"bench", "test"} <= named <= targets


DOCUMENTS = sorted([README, *README.parent.glob("*.md"), *README.parent.glob("docs/**/*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(README.parent)))
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text()):
        assert target.startswith("https://") or (document.parent / target).exists(), target


def test_every_document_is_in_the_index() -> None:
    docs = README.parent / "docs"
    listed = set(re.findall(r"\]\(([^)#]+)\)", (docs / "README.md").read_text()))
    folders = {path.parent.name for path in docs.glob("*/*.md")}
    found = {path.name for path in docs.glob("*.md")} - {"README.md"}
    assert found <= listed
    assert all(any(link.startswith(folder) for link in listed) for folder in folders)


def test_documents_name_the_distribution_when_they_install_it() -> None:
    for document in DOCUMENTS:
        assert not re.search(r"pip install '?pybridge(?!-engine)", document.read_text()), document


def test_every_source_file_has_an_owner() -> None:
    root = README.parent
    table = (root / "CONTRIBUTING.md").read_text().split("## Where a change belongs")[1].split("\n\n")[1]
    owned = set(re.findall(r"`([\w/.]+)`", table))
    sources = [*root.glob("pybridge/**/*.py"), *root.glob("rust/*/src/**/*.rs"), *root.glob("examples/**/*.py")]
    for path in sources:
        name = path.relative_to(root).as_posix()
        assert name in owned or any(folder.endswith("/") and name.startswith(folder) for folder in owned), name
