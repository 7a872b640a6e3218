"""An ASGI application of all services, each below a path of its own, as a host mounts them."""

from __future__ import annotations

import gc
from typing import Any

from support.served.services import SERVICES

APPS: dict[str, Any] = {name: service.engine.asgi(**service.options) for name, service in SERVICES.items()}

gc.freeze()
gc.set_threshold(50)  # what a collection calls comes at any point of the layer's work


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Passes requests on by the first part of their path; closes the engines when the server stops."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    service = scope["path"].split("/")[1]
    if service not in APPS:
        from support.served.routes import routes  # frameworks take seconds to import

        APPS["routes"] = routes
    root_path = f"{scope.get('root_path', '')}/{service}"
    await APPS[service]({**scope, "root_path": root_path}, receive, send)


async def lifespan(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    for service in SERVICES.values():
        await service.engine.aclose(1)
    await send({"type": "lifespan.shutdown.complete"})
