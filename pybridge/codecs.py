"""Codecs: the format of a stream, with the options of that format."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from pybridge._field_checks import Check, choice, hook, switch
from pybridge._settings import Settings, setting
from pybridge.errors import ConfigError

Hook: TypeAlias = Callable[[Any], Any]
"""Gives an encodable value for an object that the codec does not know; called on the worker, while encoding."""


def _dump_options(method: str) -> Check:
    """None, or keyword arguments for this method of pydantic's serializers; where pydantic is imported it is asked."""

    def check(value: object) -> dict[str, Any] | None:
        if value is None:
            return None
        if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
            raise ValueError(f"must be a mapping of argument names or None, not a value of type {type(value).__name__}")
        options = dict(value)
        for name, instead in (("fallback", "it is the codec's default="), ("mode", "the codec says what is written")):
            if name in options:
                raise ValueError(f"cannot hold {name!r}: {instead}")
        if (core := sys.modules.get("pydantic_core")) is not None:
            try:
                getattr(core.SchemaSerializer({"type": "none"}), method)(None, **options)
            except (TypeError, ValueError) as error:
                raise ValueError(f"is not what pydantic takes: {error}") from None
        return options

    return check


@dataclass(frozen=True, slots=True)
class MsgpackCodec(Settings):
    """MessagePack.

    Attributes:
        default: Called with each object the codec does not know; what it returns is encoded instead. At most 32 calls
            deep. None: such objects are an `EncodeError`.
        keys: Keys of maps: `"str"`, or `"any"` for `str`, `int` and `bytes`.
        model_dump: Arguments for the serializers of pydantic models, as `model_dump` takes them: `by_alias`,
            `exclude_none` and others. Not `mode` and `fallback`, which are the codec's.
    """

    format: ClassVar[str] = "msgpack"
    default: Hook | None = setting(None, hook)
    keys: Literal["str", "any"] = setting("str", choice("str", "any"))
    model_dump: dict[str, Any] | None = setting(None, _dump_options("to_python"))

    if TYPE_CHECKING:

        def __init__(
            self,
            default: Hook | None = None,
            keys: Literal["str", "any"] = "str",
            model_dump: Mapping[str, Any] | None = None,
        ) -> None: ...


@dataclass(frozen=True, slots=True)
class JsonCodec(Settings):
    """JSON (RFC 8259, UTF-8).

    Attributes:
        default: Called with each object the codec does not know; what it returns is encoded instead. At most 32 calls
            deep. None: such objects are an `EncodeError`.
        bytes: `bytes`, `bytearray` and `memoryview` are an `EncodeError` (`"error"`), or text (`"base64"`).
        nonfinite: NaN and infinities are an `EncodeError` (`"error"`), or null (`"null"`).
        keys: Keys of objects: `"str"`, or `"any"` for the text of `int`, `float`, `bool`, `None`, `UUID`, `datetime`,
            `date`, `time` and enums as well; two keys with the same text are an `EncodeError`.
        ascii: Everything but printable ASCII is escaped, as `json.dumps` does: what splits text into lines by
            U+0085, U+2028 or U+2029 finds none.
        model_dump: Arguments for the serializers of pydantic models, as `model_dump_json` takes them: `by_alias`,
            `exclude_none` and others. Not `fallback`, which is `default`.
    """

    format: ClassVar[str] = "json"
    default: Hook | None = setting(None, hook)
    bytes: Literal["error", "base64"] = setting("error", choice("error", "base64"))
    nonfinite: Literal["error", "null"] = setting("error", choice("error", "null"))
    keys: Literal["str", "any"] = setting("str", choice("str", "any"))
    ascii: bool = setting(False, switch)
    model_dump: dict[str, Any] | None = setting(None, _dump_options("to_json"))

    if TYPE_CHECKING:

        def __init__(
            self,
            default: Hook | None = None,
            bytes: Literal["error", "base64"] = "error",
            nonfinite: Literal["error", "null"] = "error",
            keys: Literal["str", "any"] = "str",
            ascii: bool = False,
            model_dump: Mapping[str, Any] | None = None,
        ) -> None: ...


@dataclass(frozen=True, slots=True)
class RawCodec(Settings):
    """Bytes or text as they are: a handler yields `bytes`, `bytearray`, `memoryview` or `str`."""

    format: ClassVar[str] = "raw"


Codec: TypeAlias = MsgpackCodec | JsonCodec | RawCodec
CodecName: TypeAlias = Literal["msgpack", "json", "raw"]

_BY_NAME: dict[str, type[Codec]] = {"msgpack": MsgpackCodec, "json": JsonCodec, "raw": RawCodec}


def resolve_codec(value: object, field: str = "codec") -> Codec:
    """Gives the codec for a name, or the codec itself; `field` is what it is asked for.

    Raises:
        ConfigError: Neither a codec nor the name of one.
    """
    if isinstance(value, MsgpackCodec | JsonCodec | RawCodec):
        return value
    if isinstance(value, str) and value in _BY_NAME:
        return _BY_NAME[value]()
    found = repr(value[:64]) if isinstance(value, str) else f"a value of type {type(value).__name__}"
    names = ", ".join(map(repr, _BY_NAME))
    raise ConfigError(field, f"must be one of {names}, or a codec object, not {found}")
