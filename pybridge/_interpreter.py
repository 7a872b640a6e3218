"""The check that refuses free-threaded Python when pybridge is imported, before its extension is loaded."""

from __future__ import annotations

import sys
import sysconfig


def refuse_free_threading() -> None:
    """Checks the interpreter that runs this.

    Raises:
        ImportError: It is a free-threaded build, whether or not its interpreter lock is switched on, or has no lock.
    """
    has_lock = getattr(sys, "_is_gil_enabled", None)
    if sysconfig.get_config_var("Py_GIL_DISABLED") or not (has_lock is None or has_lock()):
        raise ImportError(
            "pybridge needs a Python with the global interpreter lock; a free-threaded build is refused, whatever "
            "PYTHON_GIL says"
        )
