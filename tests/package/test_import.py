"""The import of pybridge: no thread, no word, little memory."""

from __future__ import annotations

import pytest

from support.processes import PythonRunner

FOOTPRINT = """
import re, sys

def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096

def huge_advised():
    # Mappings that a huge page fits into, and that ask for one.
    with open("/proc/self/smaps") as smaps:
        mappings = re.findall(r"^Size: +(\\d+) kB.*?^VmFlags: (.*?)$", smaps.read(), re.MULTILINE | re.DOTALL)
    assert len(mappings) > 20
    return [flags for size, flags in mappings if int(size) >= 2048 and "hg" in flags.split()]

import asyncio, dataclasses, json, logging, typing, weakref  # what any service has
before = resident()
import pybridge
added = resident() - before
assert added < 20 * 2**20, f"import added {added / 2**20:.1f} MiB"
assert not huge_advised()

async def handler(request):
    yield "x" * request

async def main():
    engine = pybridge.PooledEngine(handler)
    for size in (10, 100_000, 12_000_000):
        async for item in engine(size):
            assert len(item) == size
    assert not huge_advised()
    await engine.aclose()

asyncio.run(main())
"""


@pytest.mark.guarantee("M-18")
def test_import_adds_little_memory_and_no_huge_page(run_python: PythonRunner) -> None:
    """Importing adds less than 20 MiB, and no mapping is advised to use huge pages, before and after use."""
    # Without the arenas of CPython, which asks for huge pages from 3.15 on, for small mappings too.
    run_python(FOOTPRINT, environment={"PYTHONMALLOC": "malloc"})


@pytest.mark.guarantee("P-12")
def test_import_starts_no_thread_needs_no_extra_and_is_silent(run_python: PythonRunner) -> None:
    snippet = """
        import sys, threading, os
        import pybridge
        extras = {"msgspec", "orjson", "rich", "matplotlib", "uvloop", "numpy"} & set(sys.modules)
        print(threading.active_count(), len(os.listdir("/proc/self/task")), sorted(extras))
    """
    assert run_python(snippet) == "1 1 []\n"
