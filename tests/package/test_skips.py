"""Skipped tests: each for a reason that is written down and can hold here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support import skips

TESTS = Path(__file__).parents[1]


def run_pytest(folder: Path, source: str) -> str:
    """What pytest says of a test file under the plugin."""
    (folder / "test_it.py").write_text(f"import pytest\n{source}\n")
    options = ("-p", "support.skips", "-p", "no:cacheprovider", "-c", os.devnull, "-q", "-rA")
    environment = os.environ | {"PYTHONPATH": str(TESTS), "PYTEST_ADDOPTS": ""}
    command = [sys.executable, "-m", "pytest", *options, "test_it.py"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False).stdout


@pytest.mark.parametrize(
    "source",
    [
        "@pytest.mark.skip\ndef test(): pass",
        "@pytest.mark.skipif(True, reason='it is Monday')\ndef test(): pass",
        "def test(): pytest.importorskip('no_such_oracle')",
        "pytest.importorskip('no_such_oracle')\ndef test(): pass",
        "@pytest.fixture\ndef made(): pytest.skip('not made')\ndef test(made): pass",
    ],
)
def test_test_skipped_for_a_reason_that_is_not_written_down_fails(tmp_path: Path, source: str) -> None:
    said = run_pytest(tmp_path, source)
    assert re.search(r"\b1 (failed|error)", said), said
    assert "tests/support/skips.py does not allow it here" in said


def test_reason_that_cannot_hold_here_is_not_allowed(tmp_path: Path) -> None:
    impossible = next(reason for reason, holds in skips.HOLDS.items() if not holds)
    assert "1 failed" in run_pytest(tmp_path, f"def test(): pytest.skip({impossible!r})")


def test_allowed_skips_and_expected_failures_stay_what_they_are(tmp_path: Path) -> None:
    source = f"""
def test_skipped(): pytest.skip({skips.UVLOOP_HAS_NO_EAGER_TASKS!r})
@pytest.mark.xfail
def test_expected(): assert False
def test_good(): pass
"""
    assert "1 passed, 1 skipped, 1 xfailed" in run_pytest(tmp_path, source)
