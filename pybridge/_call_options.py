"""`CallOptions`: the options of one call, and their checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from pybridge import _pybridge
from pybridge._one_line_text import flaw_of
from pybridge.codecs import Codec, CodecName
from pybridge.config import Limits
from pybridge.errors import ConfigError, LimitExceeded


class CallOptions(TypedDict, total=False):
    """What may be said about one call. No text may hold control characters.

    Attributes:
        encoded: The request is bytes of this codec; they are decoded on the worker, into fresh objects.
        request_id: Name of the request in logs and in `Context.id`.
        metadata: Passed on as `Context.metadata`; of these only `baggage` (W3C) goes on to nested calls.
        timeout: Seconds for the whole stream, counted from its start, queueing included.
        idle_timeout: Seconds between two items; time that the stream waits for its consumer does not count.
        traceparent: W3C trace context, passed on unread, to nested calls as well.
        tracestate: W3C trace state, passed on unread.
        parent: The call this one belongs to: it is cancelled with the parent, and has at most its time. By default
            the call whose handler is running; None: no parent.
    """

    encoded: CodecName | Codec
    request_id: str
    metadata: Mapping[str, str]
    timeout: float | None
    idle_timeout: float | None
    traceparent: str
    tracestate: str
    parent: _pybridge.Context | None


def checked(options: CallOptions, limits: Limits) -> dict[str, Any]:
    """Gives the options, each of a kind that it can have.

    Raises:
        TypeError: An option that does not exist.
        ConfigError: An option that cannot be, naming it.
        LimitExceeded: More metadata than the limits allow.
    """
    keywords: dict[str, Any] = {**options}
    unknown = keywords.keys() - CallOptions.__annotations__.keys()
    if unknown:
        known = ", ".join(CallOptions.__annotations__)
        raise TypeError(f"a call has no option {min(unknown)!r}; it has {known}")
    for name in ("request_id", "traceparent", "tracestate"):
        if keywords.get(name) is not None:
            check_text(name, keywords[name])
    for name in ("timeout", "idle_timeout"):
        if keywords.get(name) is not None:
            check_seconds(name, keywords[name])
    parent = keywords.get("parent")
    if parent is not None and not isinstance(parent, _pybridge.Context):
        raise ConfigError("parent", f"must be a Context or None, not {type(parent).__name__}")
    if "metadata" in keywords:
        keywords["metadata"] = _metadata(keywords["metadata"], limits)
    return keywords


def check_text(field: str, value: object) -> None:
    """Refuses what is not text, or not text that UTF-8 can hold and that stays on its line, in a log or a header.

    Raises:
        ConfigError: It is not, naming the field.
    """
    if flaw := flaw_of(value):
        raise ConfigError(field, flaw)


def check_seconds(field: str, value: object) -> float:
    """Gives a time in seconds, 0 or more.

    Raises:
        ConfigError: It is none, naming the field.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        raise ConfigError(field, f"must be seconds, at least 0, not {value!r}")
    return value


def _metadata(metadata: object, limits: Limits) -> dict[str, str]:
    if not isinstance(metadata, Mapping | None):
        raise ConfigError("metadata", f"must map text to text, not {metadata!r}")
    entries = dict(metadata or {})
    if len(entries) > limits.max_metadata_entries:
        raise LimitExceeded(f"metadata of {len(entries)} entries is over max_metadata_entries", "max_metadata_entries")
    for key, value in entries.items():
        check_text("metadata", key)
        check_text(f"metadata[{key!r}]", value)
    total = sum(len(key.encode()) + len(value.encode()) for key, value in entries.items())
    if total > limits.max_metadata_bytes:
        raise LimitExceeded(f"metadata of {total} bytes is over max_metadata_bytes", "max_metadata_bytes")
    return entries
