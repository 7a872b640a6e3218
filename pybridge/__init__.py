"""Runs unmodified Python async generators for Rust, through pooled buffers."""

from pybridge import _extension as _extension  # comes first: tells why the extension is not loaded, where it is not
from pybridge import _stop_at_exit as _stop_at_exit
from pybridge._call_options import CallOptions
from pybridge._configure_memory import configure_memory
from pybridge._extension import __version__
from pybridge._pybridge import (
    Context,
    Frame,
    Stream,
    Worker,
    configure_runtime,
    current_context,
    decode,
    encode,
    metrics_text,
)
from pybridge._serve.settings import ServeOptions
from pybridge.codecs import JsonCodec, MsgpackCodec, RawCodec
from pybridge.config import FlowConfig, Limits, PoolConfig
from pybridge.engine import PooledEngine
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
    PublicError,
    PybridgeError,
    StreamCancelled,
)
from pybridge.from_sync import from_sync
from pybridge.memory import memory
from pybridge.pool import Pool
from pybridge.server import Server, serve
from pybridge.stats import EngineStats, MemoryStats

__all__ = [
    "CallOptions",
    "ConfigError",
    "Context",
    "DecodeError",
    "EncodeError",
    "EngineClosed",
    "EngineStats",
    "FlowConfig",
    "ForkError",
    "Frame",
    "HandlerExit",
    "InternalError",
    "InvalidArgument",
    "JsonCodec",
    "LimitExceeded",
    "Limits",
    "MemoryStats",
    "MsgpackCodec",
    "Overloaded",
    "Pool",
    "PoolConfig",
    "PoolExhausted",
    "PooledEngine",
    "PublicError",
    "PybridgeError",
    "RawCodec",
    "ServeOptions",
    "Server",
    "Stream",
    "StreamCancelled",
    "Worker",
    "__version__",
    "configure_memory",
    "configure_runtime",
    "current_context",
    "decode",
    "encode",
    "from_sync",
    "memory",
    "metrics_text",
    "serve",
]
