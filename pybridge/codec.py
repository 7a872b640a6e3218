"""The codec alone, with the rules of streams."""

from __future__ import annotations

from typing import Any

from pybridge import _pybridge
from pybridge.codecs import Codec, CodecName
from pybridge.config import Limits
from pybridge.engine import native_codec


def encode(value: Any, codec: CodecName | Codec = "msgpack", limits: Limits | None = None) -> _pybridge.Frame:
    """Encodes one value into a frame.

    Raises:
        EncodeError: The value, or something in it, is not of the value table; `.path` says where.
        LimitExceeded: It is over a limit.
    """
    return native_codec(codec).encode(value, limits)


def decode(
    data: bytes | bytearray | memoryview | _pybridge.Frame,
    codec: CodecName | Codec | None = None,
    limits: Limits | None = None,
) -> Any:
    """Decodes one whole message; bytes after it are an error.

    Args:
        data: A frame, bytes or anything with a buffer; for `"json"` and `"raw"` also text.
        codec: The format. By default that of a frame, and `"msgpack"` for anything else.
        limits: What the message is held to. By default the limits that a frame was encoded with, and `Limits()`.

    Raises:
        DecodeError: Not a message of the format; `.offset` says where.
        LimitExceeded: It is over a limit.
    """
    if codec is not None or not isinstance(data, _pybridge.Frame):
        return native_codec(codec or "msgpack").decode(data, limits)
    return data.decode() if limits is None else _pybridge.Codec.of(data).decode(data, limits)
