"""Facts about this machine, its limits and its allocators; everything is read, nothing is changed."""

from __future__ import annotations

import ctypes
import os
import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_PRELOADED = ("jemalloc", "mimalloc", "tcmalloc", "snmalloc")


def memory_limit() -> tuple[int, str]:
    """Gives the bytes that this process may use, and who says so: `cgroup` or `machine`."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    texts = [_read(path).strip() for path in _cgroup_limits()]
    limits = [int(text) for text in texts if text.isdecimal()]
    return min([(total, "machine"), *((limit, "cgroup") for limit in limits)])


def _cgroup_limits() -> Iterator[Path]:
    """Gives the files that may limit this process: its own cgroup's, its ancestors', and version 1's."""
    yield _CGROUPS / "memory/memory.limit_in_bytes"
    own = re.search(r"^0::/(.*)$", _read(Path("/proc/self/cgroup")), re.MULTILINE)
    folder = _CGROUPS / (own[1] if own and ".." not in own[1] else "")
    while folder.is_relative_to(_CGROUPS):
        yield folder / "memory.max"
        folder = folder.parent


def usable_processors() -> int:
    """Gives the number of processors that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def has_symbol(name: str) -> bool:
    """Tells whether the process has a C function of that name."""
    return hasattr(ctypes.CDLL(None), name)


def malloc_name() -> str:
    """Gives the name of the C library's allocator, or of the one that replaces it."""
    replacement = _preloaded_allocator()
    if replacement is not None:
        return f"{replacement} (preloaded)"
    if has_symbol("gnu_get_libc_version"):
        return str(os.confstr("CS_GNU_LIBC_VERSION"))
    return "unknown"


def python_allocator() -> str:
    """Gives the allocator of Python's small objects."""
    name = os.environ.get("PYTHONMALLOC", "")
    if name:
        return f"PYTHONMALLOC={name}"
    if sys.flags.dev_mode:
        return "pymalloc with debug hooks (-X dev)"
    return "pymalloc" if sysconfig.get_config_var("WITH_PYMALLOC") else "malloc"


def _preloaded_allocator() -> str | None:
    maps = _read(Path("/proc/self/maps"))
    return next((name for name in _PRELOADED if f"lib{name}" in maps), None)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
