"""Options of HTTP's protocol layer, which every front takes alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from pybridge._field_checks import choice, optional, seconds, shown, size, switch
from pybridge._settings import Settings, setting

Protocol: TypeAlias = Literal["generic", "openai"]
"""What clients take a service for."""


def text(value: object) -> str:
    """A text of any kind."""
    if not isinstance(value, str):
        raise ValueError(f"must be text, not {shown(value)}")
    return value


def texts(value: object) -> tuple[str, ...]:
    """A sequence of names."""
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise ValueError(f"must be a sequence of names, not {shown(value)}")
    return tuple(text(item) for item in value)


@dataclass(frozen=True, slots=True)
class HttpOptions(Settings):
    """How an engine is put behind HTTP; see `PooledEngine.asgi`.

    Raises:
        ConfigError: A value that cannot be, naming its field.
    """

    protocol: Protocol = setting("generic", choice("generic", "openai"))
    path: str | None = setting(None, optional(text))
    models: tuple[str, ...] = setting((), texts)
    health: bool = setting(False, switch)
    metrics: bool = setting(False, switch)
    max_body: int = setting("32MiB", size(1))
    max_timeout: float = setting(3600.0, seconds())
    commit_after: float = setting(10.0, seconds(zero=True))
    keepalive: float = setting(15.0, seconds(zero=True))
    flush_interval: float = setting(0.0, seconds(zero=True))
    pass_headers: tuple[str, ...] = setting((), texts)

    if TYPE_CHECKING:

        def __init__(
            self,
            protocol: Protocol = "generic",
            path: str | None = None,
            models: Sequence[str] = (),
            health: bool = False,
            metrics: bool = False,
            max_body: int | str = "32MiB",
            max_timeout: float = 3600.0,
            commit_after: float = 10.0,
            keepalive: float = 15.0,
            flush_interval: float = 0.0,
            pass_headers: Sequence[str] = (),
        ) -> None: ...
