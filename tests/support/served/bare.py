"""One engine as the whole application, started and stopped by the server itself."""

from __future__ import annotations

from pybridge import PooledEngine

from support.served.script import script

app = PooledEngine(script, name="bare").asgi(health=True, metrics=True)
