"""`make test-python` with each of several Pythons: `matrix.py 3.11 3.12 --at /opt/python3.12/bin/python3`."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parents[1]


def version_of(python: str) -> str | None:
    """The version of CPython that runs by this name or path, as `3.14`."""
    question = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        asked = subprocess.run([python, "-c", question], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return asked.stdout.strip() if asked.returncode == 0 else None


def interpreters(versions: list[str], paths: list[str]) -> dict[str, str]:
    """An interpreter for each version that is here: of the paths given, else by its name on PATH."""
    found = {version: name for version in versions if version_of(name := f"python{version}") == version}
    for path in paths:
        version = version_of(path)
        if version not in versions:
            raise SystemExit(f"{path}: {f'Python {version} is not tested' if version else 'this does not run'}")
        found[version] = path
    return found


def counts(report: Path) -> dict[str, int]:
    """How many tests passed, were skipped and failed, from what pytest wrote; an error counts as a failure."""
    suites = list(ET.parse(report).getroot().iter("testsuite"))
    ran, skipped, failures, errors = (
        sum(int(suite.attrib[name]) for suite in suites) for name in ("tests", "skipped", "failures", "errors")
    )
    return {"passed": ran - skipped - failures - errors, "skipped": skipped, "failed": failures + errors}


def test(version: str, python: str) -> tuple[bool, str]:
    """Whether everything is green with this Python, and the line that says so."""
    print(f"== Python {version}: {python}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        # What the outer make was told holds for it alone.
        environment = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MFLAGS"}}
        environment["PYTEST_ADDOPTS"] = f"{os.environ.get('PYTEST_ADDOPTS', '')} --junitxml={report}"
        command = [os.environ.get("MAKE", "make"), "test-python", f"PYTHON={python}"]
        done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
        if not report.exists():
            return False, "failed before its tests"
        line = ", ".join(f"{number} {what}" for what, number in counts(report).items())
        return done.returncode == 0, line


def main() -> int:
    """Runs them one after the other; exit status 1 if one is not green, or none is here."""
    parser = argparse.ArgumentParser(prog="tests/matrix.py", description=__doc__)
    parser.add_argument("versions", nargs="+", metavar="VERSION", help="a version of CPython, as 3.14")
    parser.add_argument("--at", action="append", default=[], metavar="PATH", help="an interpreter that is not on PATH")
    options = parser.parse_args()
    here = interpreters(options.versions, options.at)
    results = {version: test(version, python) for version, python in here.items()}
    print()
    for version in options.versions:
        _, line = results.get(version, (True, f"missing: no python{version} on PATH that runs, and none in PYTHONS_AT"))
        print(f"Python {version}: {line}")
    return 0 if results and all(green for green, _ in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
