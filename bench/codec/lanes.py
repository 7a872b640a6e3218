"""The lanes of the codec bench: ours and other libraries, each with its timing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Literal

import msgpack  # type: ignore[import-untyped]
import msgspec
import orjson
import ormsgpack

import pybridge
from bench.codec.payloads import MODEL, Model
from pybridge.bench.codec import Operation
from pybridge.bench.codec import repeat as inside_bridge

Format = Literal["msgpack", "json"]
Direction = Literal["encode", "decode"]

PRODUCT = "pybridge"
PUBLIC = "pybridge, called"
REFERENCE = "reference"
FORMATS: tuple[Format, ...] = ("msgpack", "json")
DIRECTIONS: tuple[Direction, ...] = ("encode", "decode")


@dataclass(frozen=True, slots=True)
class Lane:
    """One way to do one half of one format.

    Attributes:
        name: As the report names it.
        once: Does it once; the output is checked.
        timed: Does it n times; returns nanoseconds of each.
        peer: A public library that the product is measured against.
    """

    name: str
    once: Callable[[Any], Any]
    timed: Callable[[Any, int], float]
    peer: bool


def called(function: Callable[[Any], Any]) -> Callable[[Any, int], float]:
    """Times a function called by its name from Python, without the loop around it."""

    def timed(payload: Any, repetitions: int) -> float:
        start = time.perf_counter_ns()
        for _ in repeat(None, repetitions):
            function(payload)
        return _without_loop(start, repetitions)

    return timed


def called_with(function: Callable[[Any, str], Any], option: str) -> Callable[[Any, int], float]:
    """The same with a second argument."""

    def timed(payload: Any, repetitions: int) -> float:
        start = time.perf_counter_ns()
        for _ in repeat(None, repetitions):
            function(payload, option)
        return _without_loop(start, repetitions)

    return timed


def _without_loop(start: int, repetitions: int) -> float:
    """Nanoseconds of each repetition since `start`, less those of one that does nothing."""
    end = time.perf_counter_ns()
    for _ in repeat(None, repetitions):
        pass
    loop = time.perf_counter_ns() - end
    return max(end - start - loop, 1) / repetitions


def inside(operation: Operation, wire: Format) -> Callable[[Any, int], float]:
    """Times the codec where streams use it: called from Rust, into pooled buffers or from bytes."""
    return lambda payload, repetitions: inside_bridge(operation, wire, payload, repetitions)


def _peer(name: str, function: Callable[[Any], Any]) -> Lane:
    return Lane(name, function, called(function), peer=True)


def lanes(wire: Format, direction: Direction, payload: str) -> list[Lane]:
    """All lanes of one half of one format, the product first."""
    encoding = direction == "encode"
    function: Callable[..., Any] = pybridge.encode if encoding else pybridge.decode
    timed = called(function) if wire == "msgpack" else called_with(function, wire)

    def public(it: Any) -> Any:
        return function(it, wire)

    reference: Operation = "reference-encode" if encoding else "reference-decode"
    found = [
        Lane(PRODUCT, public, inside(direction, wire), peer=False),
        Lane(PUBLIC, public, timed, peer=False),
        Lane(REFERENCE, public, inside(reference, wire), peer=False),
    ]
    if payload == MODEL:
        pydantic = Lane("pydantic", _model_to_json, _time_models, peer=True)
        found[2:] = [pydantic if wire == "json" else _peer("pydantic, msgspec", _model_to_msgpack)]
    elif wire == "msgpack":
        spec = msgspec.msgpack.Encoder().encode if encoding else msgspec.msgpack.Decoder().decode
        found += [
            _peer("msgspec", spec),
            _peer("ormsgpack", ormsgpack.packb if encoding else ormsgpack.unpackb),
            _peer("msgpack", msgpack.packb if encoding else msgpack.unpackb),
        ]
    else:
        spec = msgspec.json.Encoder().encode if encoding else msgspec.json.Decoder().decode
        found += [
            _peer("orjson", orjson.dumps if encoding else orjson.loads),
            _peer("msgspec", spec),
            _peer("json", _dumps if encoding else json.loads),
        ]
    return found


def _dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _model_to_json(model: Model) -> bytes:
    return model.__pydantic_serializer__.to_json(model)


def _time_models(model: Model, repetitions: int) -> float:
    """Times the serializer called as programs call it, without a function around it."""
    start = time.perf_counter_ns()
    for _ in repeat(None, repetitions):
        model.__pydantic_serializer__.to_json(model)
    return _without_loop(start, repetitions)


def _model_to_msgpack(model: Model) -> bytes:
    return msgspec.msgpack.encode(Model.__pydantic_serializer__.to_python(model))


def _plain(value: Any) -> Any:
    return value.model_dump() if isinstance(value, Model) else value


def sample(wire: Format, value: Any) -> bytes:
    """The bytes that decoders get: those of an encoder that is none of the lanes under test for that format."""
    value = _plain(value)
    return msgspec.msgpack.encode(value) if wire == "msgpack" else msgspec.json.encode(value)


def problem(lane: Lane, wire: Format, direction: Direction, value: Any) -> str | None:
    """What is wrong with a lane's output; None if nothing is."""
    if direction == "decode":
        return None if lane.once(sample(wire, value)) == value else "decoded to something else"
    made = bytes(lane.once(value))
    back = msgspec.msgpack.decode(made) if wire == "msgpack" else msgspec.json.decode(made)
    return None if back == _plain(value) else "encoded something else"
