"""Facts that the operating system gives about this process, or another."""

import contextlib
import ctypes
import datetime as dt
import gc
import os
import platform
import resource
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pybridge import __version__, _pybridge, memory
from pybridge.bench.protocol import State

MIB = 1024 * 1024


@dataclass
class Usage:
    """What a stretch of code used, over all threads of the process."""

    cpu_seconds: float = 0.0
    switches: int = 0


@contextlib.contextmanager
def measured() -> Iterator[Usage]:
    """Fills its `Usage` when the block ends."""
    usage = Usage()
    before = resource.getrusage(resource.RUSAGE_SELF)
    try:
        yield usage
    finally:
        after = resource.getrusage(resource.RUSAGE_SELF)
        usage.cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        usage.switches = after.ru_nvcsw + after.ru_nivcsw - before.ru_nvcsw - before.ru_nivcsw


def state() -> State:
    """Memory, threads and malloc arenas of this process."""
    status = process_status(os.getpid())
    now = memory()
    return State(
        rss_mib=status["VmRSS"] / 1024,
        peak_mib=status["VmHWM"] / 1024,
        threads=status["Threads"],
        arenas=now.malloc_arenas,
        released_mib=sum(release.bytes for release in now.releases) / MIB,
        release_ms=1e3 * sum(release.seconds for release in now.releases),
    )


def process_status(pid: int) -> dict[str, int]:
    """The numeric fields of `/proc/PID/status`; sizes in KiB. Empty when the process is gone."""
    fields = {}
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return {}
    for line in lines:
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            fields[name] = int(words[0])
    return fields


def give_back() -> None:
    """Collects garbage and asks malloc to return what is free."""
    gc.collect()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


def origin() -> dict[str, Any]:
    """Where figures come from: the version, how it was built, the date and the machine."""
    return {
        "version": __version__,
        "build": "optimised" if _pybridge.bench_optimised else "debug",
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="minutes"),
        "machine": machine(),
    }


def machine() -> dict[str, object]:
    """What a reader must know to compare figures."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.platform(),
        "python": sys.version.split()[0],
    }
