from __future__ import annotations

import re
from pathlib import Path

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
