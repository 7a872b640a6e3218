"""The lanes by name."""

DESCRIPTIONS = {
    "naive": "the usual bridge: pyo3-async-runtimes and pythonize, a hop to the blocking pool per item",
    "bridge-thread": "its obvious repair: the same, with one dedicated thread for all conversions",
    "pooled": "pybridge: frames received by tokio tasks",
    "pooled-suspend": 'pybridge with FlowConfig(flush="suspend")',
    "python": "the floor: async for and an encoder per item (msgspec) in one event loop, no bridge",
    "plain": "async for alone, nothing encoded",
    "plain-sse": "async for, orjson per item, framed as server-sent events",
    "frames": "pybridge consumed from Python on the handler's own loop: engine.frames()",
    "chunks": 'the same with engine.chunks(framing="sse")',
    "items": "the same with the engine itself: items, decoded from their frames",
}

WITHOUT_PYBRIDGE = frozenset({"naive", "bridge-thread", "python", "plain", "plain-sse"})

DEFAULT = ("naive", "bridge-thread", "pooled", "python")
MEMORY_DEFAULT = ("naive", "pooled", "python")
