"""The exceptions of pybridge.

Every one is a `PybridgeError`, and a built-in exception as well where one fits. All of them can be pickled.
`retryable` says whether the same call may succeed when it is made again later, elsewhere or with patience.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pybridge._one_line_text import flaw_of, is_token


class PybridgeError(Exception):
    """Base class of all exceptions that pybridge raises."""

    retryable: bool = False


class ConfigError(PybridgeError, ValueError):
    """A setting that cannot be.

    Attributes:
        field: Name of the setting.
        reason: What is wrong with its value.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}"


class EncodeError(PybridgeError, TypeError):
    """An item that cannot become a frame.

    Attributes:
        path: Where in the item, from its root: `$.choices[3].delta`.
    """

    def __init__(self, message: str, path: str = "$") -> None:
        super().__init__(message, path)
        self.message = message
        self.path = path

    def __str__(self) -> str:
        return self.message


class DecodeError(PybridgeError, ValueError):
    """Bytes that are not a message of their format.

    Attributes:
        offset: Byte offset at which the message stops being valid.
    """

    def __init__(self, message: str, offset: int = 0) -> None:
        super().__init__(message, offset)
        self.message = message
        self.offset = offset

    def __str__(self) -> str:
        return self.message


class LimitExceeded(PybridgeError, ValueError):
    """A message over a limit, in either direction.

    Attributes:
        limit: Name of the `Limits` field.
        path: Where in an item that was encoded, from its root: `$.choices[3].delta`; None elsewhere.
    """

    def __init__(self, message: str, limit: str, path: str | None = None) -> None:
        super().__init__(message, limit, path)
        self.message = message
        self.limit = limit
        self.path = path

    def __str__(self) -> str:
        return self.message


class PublicError(PybridgeError):
    """For handlers to raise: an answer whose text, code and headers may go to remote clients.

    Text of every other exception stays with the process and its log. Copies of `headers` do not follow its changes.

    Attributes:
        message: What the client is told.
        status: HTTP status of the answer, 400 to 599, as long as nothing has been sent.
        code: A name of the failure for programs; None: no name.
        retryable: Whether the same call may succeed later.
        headers: More headers of the answer.

    Raises:
        ConfigError: An argument that cannot be, naming it.
    """

    def __init__(
        self,
        message: str,
        status: int = 400,
        code: str | None = None,
        retryable: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        if not isinstance(message, str):
            raise ConfigError("message", f"must be text, not a value of type {type(message).__name__}")
        if not _is_failure_status(status):
            raise ConfigError("status", f"must be a whole number between 400 and 599, not {_short(status)}")
        if code is not None and (flaw := flaw_of(code)):
            raise ConfigError("code", flaw)
        if not isinstance(retryable, bool):
            raise ConfigError("retryable", f"must be True or False, not {_short(retryable)}")
        self.message = message
        self.status = int(status)
        self.code = code
        self.retryable = retryable
        self.headers = _checked_headers(headers)

    def __str__(self) -> str:
        return self.message


class InvalidArgument(PublicError, ValueError):
    """For handlers to raise: the request is wrong, and its sender may be told why.

    The message is public: it reaches remote clients.
    """


class StreamCancelled(PybridgeError):
    """The stream was cancelled before it was finished.

    Attributes:
        reason: One of `client`, `caller`, `deadline`, `idle`, `shutdown`, `parent`, `slow_consumer`, `external`.
        retryable: True for `shutdown` and `external`: another process, or this one restarted, can serve the call.
    """

    _MEANING: ClassVar[dict[str, str]] = {
        "client": "the client has gone",
        "caller": "the caller ended it",
        "deadline": "its timeout passed",
        "idle": "no item came within its idle timeout",
        "shutdown": "the engine is shutting down",
        "parent": "the call it belongs to has ended",
        "slow_consumer": "its items were not taken in time",
        "external": "its handler, its asyncio task or its event loop was stopped by something other than pybridge",
    }

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retryable = reason in ("shutdown", "external")

    def __str__(self) -> str:
        meaning = self._MEANING.get(self.reason)
        return f"stream cancelled ({self.reason})" + (f": {meaning}" if meaning else "")


class Overloaded(PybridgeError):
    """The engine has no place for one more call now."""

    retryable = True


class PoolExhausted(PybridgeError):
    """The pool's budget of live bytes is used up now."""

    retryable = True


class EngineClosed(PybridgeError, RuntimeError):
    """The engine takes no calls any more, or its worker has gone."""

    retryable = True


class HandlerExit(PybridgeError):
    """A handler raised `SystemExit` or `KeyboardInterrupt`; the original is `__cause__`.

    A server raises it also for what a lifespan raised that is no `Exception`: it would end the program that serves.
    """


class ForkError(PybridgeError, RuntimeError):
    """pybridge was started before this process was forked; only the parent may go on using it."""


class InternalError(PybridgeError, RuntimeError):
    """A defect of pybridge (a Rust panic), contained to one stream."""


def _is_failure_status(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 400 <= value <= 599


def _checked_headers(headers: object) -> dict[str, str]:
    if not isinstance(headers, Mapping | None):
        raise ConfigError("headers", f"must map text to text, not {_short(headers)}")
    checked = dict(headers or {})
    for name, value in checked.items():
        if flaw := flaw_of(name):
            raise ConfigError("headers", flaw)
        if not is_token(name):
            raise ConfigError("headers", f"{_short(name)} is no name of a header")
        if flaw := flaw_of(value):
            raise ConfigError(f"headers[{name!r}]", flaw)
    return checked


def _short(value: object) -> str:
    return repr(value)[:64] if isinstance(value, int | str) else f"a value of type {type(value).__name__}"
