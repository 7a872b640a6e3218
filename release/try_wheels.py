"""Installs each wheel of a folder for this machine into a fresh environment and tries it: `try_wheels.py dist`."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SMOKE = Path(__file__).resolve().with_name("smoke.py")


def interpreter_for(wheel: Path) -> Path:
    """The `python3.13` that a tag `cp313` asks for: on PATH, or in an image that is made for building wheels."""
    match = re.search(r"-(cp3(\d+))-cp3\2-", wheel.name)
    if not match:
        raise SystemExit(f"{wheel.name}: not a wheel for one version of CPython")
    found = shutil.which(f"python3.{match[2]}")
    path = Path(found) if found else Path(f"/opt/python/{match[1]}-{match[1]}/bin/python")
    if not path.exists():
        raise SystemExit(f"{wheel.name}: no python3.{match[2]} here")
    return path


def try_wheel(wheel: Path) -> None:
    """Makes an environment without anything else, installs the wheel and runs what it must do."""
    with tempfile.TemporaryDirectory() as folder:
        python = Path(folder) / "bin" / "python"
        subprocess.run([interpreter_for(wheel), "-m", "venv", folder], check=True)
        quietly = ("--quiet", "--disable-pip-version-check", "--no-cache-dir", "--no-index")
        subprocess.run([python, "-m", "pip", "install", *quietly, wheel.resolve()], check=True)
        subprocess.run([python, "-I", "-X", "dev", "-W", "error", SMOKE], check=True, cwd=folder)


def main(folder: str) -> None:
    """Tries every wheel in `folder`."""
    wheels = sorted(Path(folder).glob("*.whl"))
    if not wheels:
        raise SystemExit(f"no wheel in {folder}")
    for wheel in wheels:
        print(wheel.name, flush=True)
        try_wheel(wheel)


if __name__ == "__main__":
    main(*sys.argv[1:])
