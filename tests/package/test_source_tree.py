"""The package as plain sources: what a clone offers before and after it is built."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pybridge

PACKAGE = Path(pybridge.__file__).parent


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs Python in `folder` without what is installed."""
    command = [sys.executable, "-S", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with the package's Python sources."""
    skipped = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(PACKAGE, tmp_path / "pybridge", ignore=skipped)
    return tmp_path


@pytest.mark.parametrize("arguments", [("-c", "import pybridge"), ("-m", "pybridge", "doctor")])
def test_a_clone_that_is_not_built_says_how_to_build_it(clone: Path, arguments: tuple[str, ...]) -> None:
    done = run(clone, *arguments)
    assert done.returncode == 1
    assert "extension is not built for this Python" in done.stderr
    assert f"{clone / 'pybridge'} holds Python sources only" in done.stderr
    assert "make build" in done.stderr
    assert "_pybridge'\n" not in done.stderr, "the bare message of the import system"


def test_an_extension_for_another_python_is_named(clone: Path) -> None:
    (clone / "pybridge" / "_pybridge.cpython-399-x86_64-linux-gnu.so").touch()
    assert "holds _pybridge.cpython-399-x86_64-linux-gnu.so" in run(clone, "-c", "import pybridge").stderr


def test_a_clone_that_is_built_runs_as_a_module_without_being_installed(clone: Path) -> None:
    for extension in PACKAGE.glob("_pybridge*.so"):
        shutil.copy(extension, clone / "pybridge")
    for arguments in (("--version",), ("doctor",)):
        done = run(clone, "-m", "pybridge", *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert pybridge.__version__ in done.stdout
