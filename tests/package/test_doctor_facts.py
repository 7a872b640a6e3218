from __future__ import annotations

import gc
import os
import tracemalloc
from pathlib import Path

from pybridge import machine

from support.processes import PythonRunner


def test_memory_limit_is_at_most_the_machines_memory() -> None:
    limit, source = machine.memory_limit()
    assert 0 < limit <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert source in {"cgroup", "machine"}


def test_resident_memory_grows_with_what_is_touched() -> None:
    before = machine.resident_bytes()
    block = bytearray(64 * 2**20)
    block[::4096] = b"x" * len(block[::4096])
    assert machine.resident_bytes() - before >= 60 * 2**20


def test_arenas_are_counted_without_leaking_file_descriptors() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert all(machine.malloc_arenas() >= 1 for _ in range(50))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_more_threads_that_allocate_mean_more_arenas(run_python: PythonRunner) -> None:
    snippet = """
        import threading
        from pybridge import machine
        before, barrier = machine.malloc_arenas(), threading.Barrier(4)
        kept = []
        def work():
            kept.append(bytearray(4096))
            barrier.wait()
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print(machine.malloc_arenas() > before)
    """
    assert run_python(snippet) == "True\n"


def test_frozen_objects_are_seen() -> None:
    assert machine.frozen_objects() == 0
    gc.freeze()
    try:
        assert machine.frozen_objects() > 0
    finally:
        gc.unfreeze()


def test_system_allocator_is_refused_with_the_reason() -> None:
    tracemalloc.start()
    try:
        assert machine.why_not_system_allocator() is not None
    finally:
        tracemalloc.stop()
