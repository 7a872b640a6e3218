"""Reasons for which tests may be skipped, and the plugin that fails a test which is skipped for any other."""

from __future__ import annotations

import shutil
import sys
import sysconfig
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import pytest

JEMALLOC = sorted(Path("/usr/lib").glob("**/libjemalloc.so.2"))
LIBPYTHON = Path(sysconfig.get_config_var("LIBDIR") or "") / (sysconfig.get_config_var("LDLIBRARY") or "")
CURL_IS_MISSING = "curl is not installed"
UVLOOP_HAS_NO_EAGER_TASKS = "this uvloop gives the eager factory of this Python an argument that it does not take"

HOLDS = {
    "eager tasks came with Python 3.12": sys.version_info < (3, 12),
    "call graphs came with Python 3.14": sys.version_info < (3, 14),
    "classes written in Python have a buffer from Python 3.12 on": sys.version_info < (3, 12),
    "peaks are read from /proc": not Path("/proc/self/clear_refs").exists(),
    "other systems do not count a thread's sleeps": sys.platform != "linux",
    "libjemalloc2 is not installed": not JEMALLOC,
    "there is no libpython that a program could link": not LIBPYTHON.is_file(),
    CURL_IS_MISSING: shutil.which("curl") is None,
    UVLOOP_HAS_NO_EAGER_TASKS: True,
}
"""Each reason, and whether it may hold with this Python on this machine. What tests import is always there."""

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def where(reason: str) -> pytest.MarkDecorator:
    """Marks a test that is skipped where this reason holds."""
    return pytest.mark.skipif(HOLDS[reason], reason=reason)


def without_curl() -> None:
    """Skips the test that runs, which asks by curl, where there is none."""
    if HOLDS[CURL_IS_MISSING]:
        pytest.skip(CURL_IS_MISSING)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _judged((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _judged((yield))


def _judged(report: Report) -> Report:
    if report.skipped and not hasattr(report, "wasxfail") and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if not HOLDS.get(reason):
            report.outcome = "failed"
            report.longrepr = f"skipped, and tests/support/skips.py does not allow it here: {reason}"
    return report
