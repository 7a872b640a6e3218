"""`make matrix`: which Pythons it finds, and what it says of each."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HERE = f"3.{sys.version_info.minor}"
REPORT = '<testsuites><testsuite tests="9" errors="{}" failures="{}" skipped="3" /></testsuites>'

Matrix = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run_matrix(tmp_path: Path) -> Matrix:
    """Runs it with an empty PATH and with a `make` that leaves `report` where pytest would, and ends with `status`."""

    def run(*arguments: str, report: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        (tmp_path / "report").write_text(report and f"{report}\n")
        make = tmp_path / "make"
        leave = f'read -r text < {tmp_path}/report && echo "$text" > "${{PYTEST_ADDOPTS##*=}}"'
        make.write_text(f"#!/bin/sh\n{leave}\nexit {status}\n")
        make.chmod(0o755)
        environment = os.environ | {"MAKE": str(make), "PATH": str(tmp_path)}
        command: list[str | Path] = [sys.executable, ROOT / "tests" / "matrix.py", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    return run


def test_each_version_has_a_line_with_its_counts_or_what_is_missing(run_matrix: Matrix) -> None:
    done = run_matrix(HERE, "3.99", "--at", sys.executable, report=REPORT.format(0, 0))
    assert done.returncode == 0
    assert done.stdout.splitlines()[-2:] == [
        f"Python {HERE}: 6 passed, 3 skipped, 0 failed",
        "Python 3.99: missing: no python3.99 on PATH that runs, and none in PYTHONS_AT",
    ]


def test_interpreter_on_path_is_found_by_its_name(run_matrix: Matrix, tmp_path: Path) -> None:
    (tmp_path / f"python{HERE}").symlink_to(sys.executable)
    done = run_matrix(HERE, report=REPORT.format(0, 0))
    assert done.stdout.splitlines()[-1] == f"Python {HERE}: 6 passed, 3 skipped, 0 failed"


@pytest.mark.parametrize(
    ("report", "line"),
    [(REPORT.format(1, 2), "3 passed, 3 skipped, 3 failed"), ("", "failed before its tests")],
)
def test_failure_is_a_line_and_the_exit_status(run_matrix: Matrix, report: str, line: str) -> None:
    done = run_matrix(HERE, "--at", sys.executable, report=report, status=2)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == f"Python {HERE}: {line}"


def test_where_no_python_is_found_nothing_is_green(run_matrix: Matrix) -> None:
    done = run_matrix("3.99", report="")
    assert done.returncode == 1
    assert "Python 3.99: missing" in done.stdout


@pytest.mark.parametrize(
    ("path", "message"), [("/no/python", "this does not run"), (sys.executable, f"Python {HERE} is not tested")]
)
def test_path_of_no_python_that_is_tested_is_refused(run_matrix: Matrix, path: str, message: str) -> None:
    done = run_matrix("3.99", "--at", path, report="")
    assert done.returncode == 1
    assert message in done.stderr
