"""The settings of the process's memory: what `configure_memory` takes, refuses to change, and puts in force."""

from __future__ import annotations

import dataclasses
import threading
from typing import Any, Literal, TypedDict, Unpack

from pybridge import _pybridge
from pybridge.config import MemoryConfig, Size
from pybridge.errors import ConfigError

_lock = threading.Lock()
_configured: MemoryConfig | None = None
_applied: MemoryConfig | None = None


class MemorySettings(TypedDict, total=False):
    """Keyword arguments of `configure_memory`."""

    idle_release: Literal["malloc", "all", "off"]
    min_gain: Size
    tune_malloc: bool
    python_allocator: Literal["leave", "system"]


def configure_memory(**settings: Unpack[MemorySettings]) -> dict[str, str]:
    """Says what pybridge may do about memory that is free but still the process's: Python's and malloc's share.

    It holds for the whole process and is said once: a later call may repeat settings and cannot change them; those it
    leaves out stay as they are. Without a call the first engine puts the defaults in force. What was given back, and
    how long it took, is in `memory().releases`. A setting that the first call does not give is read from
    `PYBRIDGE_MEMORY_<SETTING>`, if that is set. Takes microseconds; does not suspend.

    Args:
        **settings: `idle_release` is what goes back to the system when the process has been idle for its pools'
            `idle_timeout`, at most every 30 s. `"all"` (the default): what Python's free lists hold, on a worker's
            loop, about 30 ms where 300 MiB go back, and then free pages of malloc, on a plain thread, in 10 to 20 ms.
            Python's share is left, and the reason is in `memory().python_kept`, where `gc.freeze()` is in use, on
            CPython 3.14.0 to 3.14.4, while the whole process uses a tenth of a core or more, and below a gain of a
            quarter of what was resident. `"malloc"`: malloc's share alone; no Python runs. `"off"`: nothing.

            `min_gain` (`"64MiB"`): resident bytes above what the last release left, from which a release is worth it.

            `tune_malloc` (False): every block of 128 KiB and more becomes a mapping of its own. It goes back at once
            when it is freed, and costs about three times the CPU. Irreversible.

            `python_allocator` (`"leave"`): `"system"` gives Python's small objects to malloc instead of pymalloc, so
            that one survivor no longer holds 1 MiB. It acts on objects made from then on, costs a few per cent of CPU,
            and is irreversible. CPython supports `PYTHONMALLOC=malloc` in the environment for this; use that where a
            process can be started with it.

    Returns:
        The settings that can do nothing in this process, with the reason; empty when all that was asked for applies.

    Raises:
        ConfigError: A value that cannot be, or one that differs from an earlier call's, naming it.
    """
    global _configured  # noqa: PLW0603 - settings of the process
    with _lock:
        if _configured is None:
            _configured = MemoryConfig(**settings)
        else:
            _refuse_change(_configured, settings)
        return _apply(_configured)


def settle_memory() -> None:
    """Puts the defaults, and what the environment says, in force, unless `configure_memory` was called."""
    with _lock:
        if _applied is None:
            _apply(MemoryConfig())


def memory_obstacles() -> dict[str, str]:
    """Gives what can do nothing in this process, with the reason.

    The names are `malloc` and `python` (giving their memory back), `tune_malloc` and `system_allocator`.
    """
    return _pybridge.memory_obstacles()


def _obstacles(config: MemoryConfig) -> dict[str, str]:
    found = memory_obstacles()
    shares = {"off": (), "malloc": ("malloc",), "all": ("malloc", "python")}[config.idle_release]
    reasons = {
        "idle_release": "; ".join(dict.fromkeys(found[share] for share in shares if share in found)),
        "tune_malloc": found.get("tune_malloc") if config.tune_malloc else None,
        "python_allocator": found.get("system_allocator") if config.python_allocator == "system" else None,
    }
    return {name: reason for name, reason in reasons.items() if reason}


def _apply(config: MemoryConfig) -> dict[str, str]:
    global _applied  # noqa: PLW0603 - settings of the process
    reasons = _obstacles(config)
    _pybridge.apply_memory(
        config.idle_release, config.min_gain, config.tune_malloc, config.python_allocator == "system"
    )
    _applied = config
    return reasons


def _refuse_change(before: MemoryConfig, settings: MemorySettings) -> None:
    given: dict[str, Any] = {**settings}
    now = dataclasses.replace(before, **given)
    for name in given:
        old, new = getattr(before, name), getattr(now, name)
        if old != new:
            raise ConfigError(name, f"was set to {old!r} for the whole process; it cannot become {new!r}")
