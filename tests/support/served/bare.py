"""One engine as all that is served, started and stopped by the server itself."""

from __future__ import annotations

from pybridge import PooledEngine

from support.served.script import script

engine = PooledEngine(script, name="bare")
app = engine.asgi(health=True, metrics=True)
