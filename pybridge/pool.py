"""Pools that engines share."""

from __future__ import annotations

from pybridge import _pybridge
from pybridge.config import PoolConfig
from pybridge.errors import ConfigError
from pybridge.stats import PoolStats


class Pool:
    """Buffers that several engines share: one set of limits, one set of counters.

    Args:
        config: What it may hold; None: the defaults and the environment.

    Raises:
        ConfigError: A setting that cannot be, naming it.
    """

    def __init__(self, config: PoolConfig | None = None) -> None:
        if not isinstance(config, PoolConfig | None):
            raise ConfigError("config", f"must be a PoolConfig or None, not {type(config).__name__}")
        self.native = _pybridge.Pool(PoolConfig() if config is None else config)

    def stats(self) -> PoolStats:
        """The counters since the pool was made."""
        return PoolStats.from_raw(self.native.stats())

    def trim(self) -> int:
        """Gives idle memory back to the system now; returns the bytes."""
        return self.native.trim()
