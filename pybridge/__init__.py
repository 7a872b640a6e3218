"""Runs unmodified Python async generators for Rust, through pooled buffers."""

from pybridge.codecs import JsonCodec, MsgpackCodec, RawCodec
from pybridge.config import FlowConfig, Limits, PoolConfig
from pybridge.errors import (
    ConfigError,
    DecodeError,
    EncodeError,
    EngineClosed,
    ForkError,
    HandlerExit,
    InternalError,
    InvalidArgument,
    LimitExceeded,
    Overloaded,
    PoolExhausted,
    PybridgeError,
    StreamCancelled,
)
from pybridge.stats import EngineStats, MemoryStats

__all__ = [
    "ConfigError",
    "DecodeError",
    "EncodeError",
    "EngineClosed",
    "EngineStats",
    "FlowConfig",
    "ForkError",
    "HandlerExit",
    "InternalError",
    "InvalidArgument",
    "JsonCodec",
    "LimitExceeded",
    "Limits",
    "MemoryStats",
    "MsgpackCodec",
    "Overloaded",
    "PoolConfig",
    "PoolExhausted",
    "PybridgeError",
    "RawCodec",
    "StreamCancelled",
]
