"""The extension's objects for codecs and pools of the package."""

from __future__ import annotations

from pybridge import _pybridge
from pybridge.codecs import Codec, CodecName, JsonCodec, MsgpackCodec, resolve_codec
from pybridge.config import PoolConfig
from pybridge.errors import ConfigError
from pybridge.pool import Pool


def native_pool(pool: object) -> _pybridge.Pool | None:
    """The extension's pool for a setting; None: the process's.

    Raises:
        ConfigError: The setting is no pool.
    """
    if pool is None:
        return None
    if isinstance(pool, PoolConfig):
        return Pool(pool).native
    if isinstance(pool, Pool):
        return pool.native
    if isinstance(pool, _pybridge.Pool):
        return pool
    raise ConfigError("pool", f"must be a PoolConfig, a Pool or None, not {type(pool).__name__}")


def native_codec(codec: CodecName | Codec, field: str = "codec") -> _pybridge.Codec:
    """The extension's object for a codec; those that are named are made once.

    Raises:
        ConfigError: Neither a codec nor the name of one.
    """
    known = _named.get(codec) if isinstance(codec, str) else None
    if known is not None:
        return known
    resolved = resolve_codec(codec, field)
    if isinstance(resolved, MsgpackCodec):
        native = _pybridge.Codec(
            "msgpack", resolved.default, any_keys=resolved.keys == "any", model_dump=resolved.model_dump
        )
    elif isinstance(resolved, JsonCodec):
        native = _pybridge.Codec(
            "json",
            resolved.default,
            any_keys=resolved.keys == "any",
            ascii=resolved.ascii,
            bytes_base64=resolved.bytes == "base64",
            nonfinite_null=resolved.nonfinite == "null",
            model_dump=resolved.model_dump,
        )
    else:
        native = _pybridge.Codec("raw")
    if isinstance(codec, str):
        _named[codec] = native
    return native


_named: dict[str, _pybridge.Codec] = {}
