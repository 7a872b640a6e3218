from __future__ import annotations

import os
import sys
from pathlib import Path

import pybridge
from pybridge import _system, doctor

from support.processes import PythonRunner


def test_memory_limit_is_at_most_the_machines_memory() -> None:
    limit, source = _system.memory_limit()
    assert 0 < limit <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert source in {"cgroup", "machine"}


def test_resident_memory_grows_with_what_is_touched(run_python: PythonRunner) -> None:
    snippet = """
        import pybridge
        before = pybridge.memory().resident
        block = bytearray(64 * 2**20)
        block[::4096] = b"x" * len(block[::4096])
        print(pybridge.memory().resident - before >= 60 * 2**20)
    """
    # A process of its own: here, memory that other tests have let go may be given back between the two readings.
    assert run_python(snippet) == "True\n"


def test_arenas_are_counted_without_leaking_file_descriptors() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert all(pybridge.memory().malloc_arenas >= 1 for _ in range(50))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_more_threads_that_allocate_mean_more_arenas(run_python: PythonRunner) -> None:
    snippet = """
        import threading
        import pybridge
        before, barrier = pybridge.memory().malloc_arenas, threading.Barrier(4)
        kept = []
        def work():
            kept.append(bytearray(4096))
            barrier.wait()
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print(pybridge.memory().malloc_arenas > before)
    """
    assert run_python(snippet) == "True\n"


def test_frozen_objects_stand_in_the_way_of_emptying_free_lists(run_python: PythonRunner) -> None:
    snippet = """
        import gc
        from pybridge._configure_memory import memory_obstacles
        before = memory_obstacles()
        gc.freeze()
        print("python" in before, "gc.freeze" in memory_obstacles()["python"])
    """
    assert run_python(snippet) == "False True\n"


def test_report_says_what_becomes_of_threads_at_exit() -> None:
    parks = sys.platform == "linux" and sys.version_info < (3, 14)
    assert doctor.examine()["machine"]["threads at exit"].startswith("parked" if parks else "left to the interpreter")
    assert "_pthread_cleanup_push" in doctor.THREADS_AT_EXIT["missing"]


def test_report_says_in_words_whose_the_memory_is() -> None:
    report = doctor.examine()
    assert set(report["configure_memory"]) == {
        'idle_release="malloc"',
        'idle_release="all"',
        "tune_malloc",
        'python_allocator="system"',
    }
    assert {"resident", "pybridge's", "malloc's", "Python's", "if it stays high"} <= set(report["memory"])
