"""The codec's inner loops, measured where no Python code runs between the repetitions."""

from typing import Any, Literal, TypeAlias

from pybridge import _pybridge
from pybridge._native import native_codec
from pybridge.codecs import Codec, CodecName, resolve_codec

Operation: TypeAlias = Literal["encode", "decode", "reference-encode", "reference-decode"]


def repeat(operation: Operation, codec: CodecName | Codec, payload: Any, repetitions: int) -> float:
    """Nanoseconds of one operation, as the mean of that many.

    `encode` writes the object `payload` into pooled buffers, `decode` makes objects of the bytes `payload`; the
    reference operations go through a tree of Rust values, as the usual bridge does.
    """
    return _pybridge.bench_codec(operation, native_codec(resolve_codec(codec)), payload, repetitions) / repetitions
