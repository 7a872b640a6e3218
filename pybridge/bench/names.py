"""The lanes by name."""

DESCRIPTIONS = {
    "naive": "the usual bridge: a blocking-pool hop per request and per item, one asyncio task per item",
    "bridge-thread": "its obvious repair: one dedicated thread, one job per item",
    "pooled": "pybridge: frames received by tokio tasks",
    "pooled-suspend": 'pybridge with FlowConfig(flush="suspend")',
    "python": "the floor: async for and a public encoder (msgspec) in one event loop, no bridge",
    "plain": "async for alone, nothing encoded",
    "plain-sse": "async for, orjson per item, framed as server-sent events",
    "frames": "pybridge consumed from Python on the handler's own loop: engine.frames()",
    "chunks": 'the same with engine.chunks(framing="sse")',
    "items": "the same with the engine itself: items, decoded from their frames",
}

WITHOUT_PYBRIDGE = frozenset({"naive", "bridge-thread", "python", "plain", "plain-sse"})

DEFAULT = ("naive", "bridge-thread", "pooled", "python")
MEMORY_DEFAULT = ("naive", "pooled", "python")
