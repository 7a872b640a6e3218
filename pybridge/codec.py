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
    codec: CodecName | Codec = "msgpack",
    limits: Limits | None = None,
) -> Any:
    """Decodes one whole message; bytes after it are an error.

    Raises:
        DecodeError: Not a message of the format; `.offset` says where.
        LimitExceeded: It is over a limit.
    """
    return native_codec(codec).decode(data, limits)
