"""Builds the source distribution of a folder in a fresh environment and runs its tests from it: `try_sdist.py dist`."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

TESTS = ("tests/codec", "-q", "-x")


def main(folder: str, *options: str) -> None:
    """Unpacks the archive away from any clone, installs from it with `options` of pip, and runs `TESTS` there."""
    archives = list(Path(folder).glob("*.tar.gz"))
    if len(archives) != 1:
        raise SystemExit(f"{len(archives)} source distributions in {folder}, not one")
    with tempfile.TemporaryDirectory() as name:
        with tarfile.open(archives[0]) as archive:
            archive.extractall(name, filter="data")
        (source,) = Path(name).iterdir()
        python = Path(name) / "venv" / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", python.parents[1]], check=True)
        pip: list[str | Path] = [python, "-m", "pip", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--quiet", "--upgrade", "pip>=25.1"], check=True)
        subprocess.run([*pip, "install", "--quiet", "--group", "test", ".", *options], check=True, cwd=source)
        subprocess.run([python.with_name("pytest"), *TESTS], check=True, cwd=source)


if __name__ == "__main__":
    main(*sys.argv[1:])
