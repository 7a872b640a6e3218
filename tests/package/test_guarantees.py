"""docs/guarantees.md, and the tests that carry the numbers of its rows."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "guarantees.md"
NUMBER = re.compile(r"\b[A-Z]-\d\d\b")
READ = ("*.md", "docs/**/*.md", "tests/**/*.py", "rust/**/*.rs", "pybridge/**/*.py", "bench/**/*.py")

# The numbers in the doc comment of a test in Rust, then its attributes, one of which makes it a test.
RUST_TEST = re.compile(
    r"^ */// Guarantees? (?P<numbers>[A-Z]-\d\d(?:, [A-Z]-\d\d)*)\.\n"
    r"(?: *(?:///|#\[).*\n)*? *#\[(?:tokio::)?test\b.*\n(?: *#\[.*\n)* *(?:async )?fn \w+\(",
    re.MULTILINE,
)
PYTHON_TEST = """
@pytest.mark.guarantee("A-01", "A-02")
@pytest.mark.parametrize("n", [1])
async def test_one(n): ...
@pytest.mark.guarantee("A-03")
def helper(): ...
"""


def groups() -> list[list[str]]:
    """The numbers of the document, heading by heading."""
    parts = DOCUMENT.read_text().split("\n## ")[1:]
    return [re.findall(r"^\| ([^ -]\S*) \| \S.* \|$", part, re.MULTILINE) for part in parts]


def rows() -> list[str]:
    return [number for group in groups() for number in group]


def marked_in_python(source: str) -> Iterator[str]:
    """The numbers in the markers of tests."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.guarantee":
                    yield from (ast.literal_eval(argument) for argument in mark.args)


def marked_in_rust(source: str) -> Iterator[str]:
    """The numbers in the doc comments of tests."""
    for test in RUST_TEST.finditer(source):
        yield from test["numbers"].split(", ")


def marked() -> set[str]:
    python = (path.read_text() for path in ROOT.glob("tests/**/test_*.py"))
    rust = (path.read_text() for path in ROOT.glob("rust/**/*.rs"))
    return {number for source in python for number in marked_in_python(source)} | {
        number for source in rust for number in marked_in_rust(source)
    }


def test_rows_are_numbered_in_order_with_a_letter_for_each_group() -> None:
    numbered = groups()
    assert all(re.fullmatch(NUMBER, number) for number in rows())
    assert all(before < after for group in numbered for before, after in pairwise(group))
    letters = [{number[0] for number in group} for group in numbered]
    assert all(len(letter) == 1 for letter in letters)
    assert len(set().union(*letters)) == len(numbered) > 0


def test_every_row_is_held_by_a_test() -> None:
    assert not sorted(set(rows()) - marked())


def test_every_number_of_a_test_is_a_row() -> None:
    assert not sorted(marked() - set(rows()))


def test_nothing_else_refers_to_a_number_that_is_no_row() -> None:
    files = [path for part in READ for path in ROOT.glob(part) if path.name != Path(__file__).name]
    assert len(files) > 300
    unknown = {path: set(NUMBER.findall(path.read_text())) - set(rows()) for path in files}
    assert not {str(path.relative_to(ROOT)): numbers for path, numbers in unknown.items() if numbers}


def test_numbers_are_read_from_tests_and_from_nothing_else() -> None:
    assert list(marked_in_python(PYTHON_TEST)) == ["A-01", "A-02"]
    test = "    /// Guarantees A-01, A-02.\n    #[cfg(unix)]\n    #[tokio::test]\n    async fn one() {}\n"
    assert list(marked_in_rust(f"/// Text.\n{test}{test}")) == ["A-01", "A-02"] * 2
    assert not list(marked_in_rust("/// Guarantee A-03.\n#[cfg(test)]\nfn helper() {}\n#[test]\nfn one() {}\n"))


def test_option_of_pytest_runs_the_tests_of_one_row() -> None:
    file = ROOT / "tests" / "streams" / "test_cancel.py"
    expected = "test_watcher_sees_the_cancel_before_the_handler"
    assert f'@pytest.mark.guarantee("C-04")\nasync def {expected}(' in file.read_text()
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, str(file), "--guarantee", "C-04"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    found = {line.partition("::")[2].partition("[")[0] for line in done.stdout.splitlines() if "::" in line}
    assert (done.returncode, found) == (0, {expected}), done.stdout + done.stderr
