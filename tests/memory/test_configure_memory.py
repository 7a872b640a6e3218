"""`configure_memory` and `memory()`: what is asked for, what stands in the way, what is given back."""

from __future__ import annotations

import dataclasses

import pytest

import pybridge
from pybridge import ConfigError, MemoryStats, metrics_text
from pybridge.config import MemoryConfig

from support import skips
from support.processes import PythonRunner

PLAIN = ("-W", "error")
"""Without `-X dev`, whose debug hooks are in the way of the system's allocator."""


def test_snapshot_says_whose_the_memory_is() -> None:
    before = pybridge.memory()
    assert isinstance(before, MemoryStats)
    kept, small = bytearray(32 * 2**20), [[number] for number in range(100_000)]
    after = pybridge.memory()
    assert after.malloc_in_use - before.malloc_in_use >= 30 * 2**20
    assert after.python_blocks - before.python_blocks >= 100_000
    assert before.resident > before.malloc_free >= 0
    assert before.malloc_arenas >= 1
    assert len(kept) == 32 * 2**20
    assert len(small) == 100_000
    with pytest.raises(dataclasses.FrozenInstanceError):
        after.resident = 0  # type: ignore[misc]


def test_memory_is_in_the_exposition() -> None:
    text = metrics_text()
    for line in (
        "pybridge_memory_resident_bytes ",
        'pybridge_memory_bytes{owner="malloc_free"} ',
        "pybridge_malloc_arenas ",
    ):
        assert line in text


def test_environment_overrides_defaults_but_not_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYBRIDGE_MEMORY_IDLE_RELEASE", "all")
    monkeypatch.setenv("PYBRIDGE_MEMORY_MIN_GAIN", "8MiB")
    assert (MemoryConfig().idle_release, MemoryConfig().min_gain) == ("all", 8 * 2**20)
    assert MemoryConfig(idle_release="off").idle_release == "off"


@pytest.mark.parametrize(
    ("name", "value"),
    [("idle_release", "sometimes"), ("min_gain", "-1"), ("tune_malloc", "maybe"), ("python_allocator", "jemalloc")],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name):
        MemoryConfig(**{name: value})  # type: ignore[arg-type]


def test_a_second_different_call_is_an_error(run_python: PythonRunner) -> None:
    snippet = """
        import pybridge
        async def handler(request): yield 1
        pybridge.PooledEngine(handler)  # puts the defaults in force; they are not a call
        pybridge.configure_memory(idle_release="off", min_gain="1MiB")
        pybridge.configure_memory(idle_release="off", min_gain=2**20)
        try:
            pybridge.configure_memory(idle_release="all", min_gain="1MiB")
        except pybridge.ConfigError as error:
            print(error)
    """
    assert "idle_release: was set to 'off'" in run_python(snippet)


def test_a_second_call_is_judged_by_what_it_gives(run_python: PythonRunner) -> None:
    """Settings that it leaves out, in the environment too by now, are no change of them."""
    snippet = """
        import os
        import pybridge
        pybridge.configure_memory(idle_release="off", min_gain="1MiB")
        os.environ["PYBRIDGE_MEMORY_IDLE_RELEASE"] = "all"
        assert pybridge.configure_memory(min_gain=2**20) == pybridge.configure_memory() == {}
        for settings in ({"tune_malloc": True}, {"min_gain": "1MiB", "python_allocator": "system"}, {"min_gain": -1}):
            try:
                pybridge.configure_memory(**settings)
            except pybridge.ConfigError as error:
                print(error)
    """
    assert run_python(snippet).splitlines() == [
        "tune_malloc: was set to False for the whole process; it cannot become True",
        "python_allocator: was set to 'leave' for the whole process; it cannot become 'system'",
        "min_gain: a size lies between 0 and 9223372036854775807 bytes, not -1",
    ]


BURST = """
    import asyncio, gc, sys, threading, time
    import pybridge
    from pybridge import FlowConfig, PoolConfig, PooledEngine
    from pybridge.memory import recent_memory
    idle_release, case = sys.argv[1:]
    if idle_release != "default":
        pybridge.configure_memory(idle_release=idle_release)
    subscription, over = case == "subscription", threading.Event()
    if case == "frozen":
        gc.freeze()
    elif case == "freezing callback":
        # Nothing is frozen before the release; it freezes more than the release did.
        def freeze_more(phase, info):
            if gc.get_freeze_count() > 2_000:
                made.append([])
                gc.freeze()
        made = []
        gc.callbacks.append(freeze_more)
    elif case == "callback":
        gc.callbacks.append(lambda phase, info: None)
    elif case == "busy":
        def work():
            while not over.is_set():
                sum(range(1000))
        threading.Thread(target=work, daemon=True).start()

    pins, all_begun = [], asyncio.Event()

    async def handler(request):
        if request == "endless":
            yield "begun"
            await asyncio.Event().wait()
        kept = [[{"id": n, "name": f"row {n}"} for n in range(2000)] for _ in range(20)]
        # Between the large blocks malloc hands out small ones that stay: what is freed cannot go back by itself.
        text = [("x" * 100_000 + str(n), pins.append(bytes(1000))) for n in range(300)]
        answer = len(kept) + len(text)
        del kept, text
        yield answer
        if request == "last":
            all_begun.set()
        await all_begun.wait()

    engine = PooledEngine(handler, worker="dedicated", pool=PoolConfig(idle_timeout=0.2))
    endless = engine.iter("endless")
    if subscription:
        assert next(endless) == "begun"
    # All at once, however slow the machine is: the subscription is a small part of the peak.
    burst = [engine.iter("one of many") for _ in range(20)] + [engine.iter("last")]
    for stream in burst:
        next(stream)
    for stream in burst:
        assert list(stream) == []
    runtime = {name: number for name, number in engine.stats().attaches.items() if "rt" in name}
    deadline = time.monotonic() + 10
    both = {"python", "malloc"}
    expected = {"default": both, "all": both, "malloc": {"malloc"}, "off": set()}[idle_release]
    if case in ("frozen", "busy"):
        expected -= {"python"}
    # Asking malloc each time would keep the process busy, and its share of Python where it is.
    while {release.what for release in recent_memory(60).releases} < expected and time.monotonic() < deadline:
        time.sleep(0.02)
    if not expected:
        time.sleep(1)
    releases, kept = pybridge.memory().releases, pybridge.memory().python_kept
    over.set()
    assert {release.what for release in releases} == expected, releases
    assert all(release.bytes >= 0 and 0 <= release.seconds < 5 for release in releases)
    assert all(abs(release.when - time.time()) < 60 for release in releases)
    assert not expected or sum(release.bytes for release in releases) > 4 * 2**20, releases
    assert not runtime and not [name for name in engine.stats().attaches if "rt" in name]
    assert (gc.get_freeze_count() > 2_000) == (case in ("frozen", "freezing callback"))
    reasons = {"frozen": "gc.freeze() is in use", "freezing callback": "gc.freeze() is in use", "busy": "% of a core"}
    assert reasons.get(case, "None") in str(kept), kept
    endless.close()
    engine.close()
"""


MIN_GAIN = {"PYBRIDGE_MEMORY_MIN_GAIN": "8MiB"}


@pytest.mark.guarantee("M-16")
@pytest.mark.parametrize("case", ["plain", "subscription"])
@pytest.mark.parametrize("idle_release", ["malloc", "all"])
def test_memory_goes_back_when_idle(run_python: PythonRunner, idle_release: str, case: str) -> None:
    """One subscription without end does not keep the process busy; no runtime thread attaches."""
    run_python(BURST, idle_release, case, options=PLAIN, environment=MIN_GAIN)


@pytest.mark.guarantee("M-16")
def test_memory_of_both_goes_back_where_nothing_is_configured(run_python: PythonRunner) -> None:
    run_python(BURST, "default", "plain", options=PLAIN, environment=MIN_GAIN)


@skips.where("libjemalloc2 is not installed")
def test_memory_goes_back_when_idle_with_jemalloc_preloaded(run_python: PythonRunner) -> None:
    run_python(BURST, "malloc", "plain", options=PLAIN, environment={"LD_PRELOAD": str(skips.JEMALLOC[0])} | MIN_GAIN)


@pytest.mark.guarantee("M-16")
def test_nothing_goes_back_when_that_is_off(run_python: PythonRunner) -> None:
    run_python(BURST, "off", "plain", options=PLAIN, environment=MIN_GAIN)


@pytest.mark.guarantee("M-17")
def test_objects_that_the_program_froze_stay_frozen(run_python: PythonRunner) -> None:
    run_python(BURST, "all", "frozen", options=PLAIN, environment=MIN_GAIN)


@pytest.mark.guarantee("M-17")
def test_objects_that_a_callback_of_the_collector_froze_stay_frozen(run_python: PythonRunner) -> None:
    run_python(BURST, "all", "freezing callback", options=PLAIN, environment=MIN_GAIN)


def test_a_callback_of_the_collector_that_freezes_nothing_is_in_nobodys_way(run_python: PythonRunner) -> None:
    run_python(BURST, "all", "callback", options=PLAIN, environment=MIN_GAIN)


def test_pythons_share_stays_while_the_process_works(run_python: PythonRunner) -> None:
    """Work that no stream does counts as well; malloc's share goes back all the same."""
    run_python(BURST, "all", "busy", options=PLAIN, environment=MIN_GAIN)


def test_what_asyncio_keeps_of_each_request_holds_no_arena(run_python: PythonRunner) -> None:
    snippet = """
        import asyncio, time
        import pybridge
        from pybridge import PoolConfig, PooledEngine
        from pybridge.memory import recent_memory

        async def handler(request):
            rows = [n.to_bytes(7, "big") for n in range(20_000)]
            await asyncio.sleep(0.01)  # the object that awaits is as large as they are
            yield len(rows)
            all_begun.append(1)
            while len(all_begun) < 48:
                await asyncio.sleep(0.01)

        all_begun = []
        engine = PooledEngine(handler, worker="dedicated", pool=PoolConfig(idle_timeout=0.2))
        all_begun += range(47)
        assert list(engine.iter(None)) == [20_000]
        all_begun.clear()
        start = pybridge.memory().resident
        streams = [engine.iter(None) for _ in range(48)]
        assert [next(stream) for stream in streams] == [20_000] * 48
        assert [list(stream) for stream in streams] == [[]] * 48
        deadline = time.monotonic() + 10
        while "malloc" not in {release.what for release in recent_memory(60).releases}:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        print((pybridge.memory().resident - start) // 2**20)
        engine.close()
    """
    assert int(run_python(snippet, options=PLAIN, environment=MIN_GAIN)) <= 16


def test_system_allocator_lets_no_survivor_hold_an_arena(run_python: PythonRunner) -> None:
    snippet = """
        import pybridge, sys
        before = [{"n": n} for n in range(1000)]
        assert pybridge.configure_memory(python_allocator="system", idle_release="off") == {}
        start = pybridge.memory()
        survivors = []
        for _ in range(20):
            tree = [{"id": n, "name": f"row {n}"} for n in range(20_000)]
            survivors.append(tree[10_000])
        before.clear()
        survivors.append({"grown": [0] * 10} | {str(n): n for n in range(1000)})
        after = pybridge.memory()
        assert after.python_blocks == 0
        assert after.malloc_in_use - start.malloc_in_use > 2**20
        del tree
        print((pybridge.memory().malloc_in_use - start.malloc_in_use) // 2**20)
    """
    assert int(run_python(snippet, options=PLAIN)) <= 2


@pytest.mark.parametrize(
    ("options", "environment", "setup", "reason"),
    [
        (("-X", "dev", "-W", "error"), {}, "", "pymalloc_debug"),
        (PLAIN, {"PYTHONMALLOC": "malloc"}, "", "malloc"),
        (PLAIN, {}, "import tracemalloc; tracemalloc.start()", "tracemalloc"),
    ],
)
def test_system_allocator_is_refused_with_the_reason(
    run_python: PythonRunner, options: tuple[str, ...], environment: dict[str, str], setup: str, reason: str
) -> None:
    snippet = f"""
        {setup}
        import pybridge
        print(pybridge.configure_memory(python_allocator="system"))
    """
    assert reason in run_python(snippet, options=options, environment=environment)


def test_pinned_threshold_gives_large_blocks_back_at_once(run_python: PythonRunner) -> None:
    snippet = """
        import pybridge, sys
        pybridge.configure_memory(idle_release="off", tune_malloc=sys.argv[1] == "True")
        bytes(4 * 2**20)  # the first free of a large block raises the threshold, unless it is pinned
        blocks = [bytes([n]) * 2**20 for n in range(64)]
        keep = blocks[-1]
        del blocks
        print(pybridge.memory().malloc_free // 2**20)
    """
    assert int(run_python(snippet, "True", options=PLAIN)) <= 2
    assert int(run_python(snippet, "False", options=PLAIN)) >= 32
