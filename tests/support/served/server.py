"""Servers of pybridge's for all services, each on a port of its own, until SIGTERM comes."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from pybridge import Server

from support.served.services import SERVICES, engine

FIRST = "generic"
"""The service whose port is chosen by the test; it is opened last."""


async def main(port: int) -> None:
    """Serves all of them, and tells where."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    late = engine("closed-late")
    ports: dict[str, int] = {}
    async with contextlib.AsyncExitStack() as servers:
        for name in sorted(SERVICES, key=FIRST.__eq__):
            service = SERVICES[name]
            options: dict[str, Any] = {"health": False, "metrics": False, "drain_timeout": 2, **service.options}
            served = late if name == "closed" else service.engine  # what is closed already cannot be served
            if name == FIRST:
                tell(ports)
            server = await servers.enter_async_context(Server(served, port=port if name == FIRST else 0, **options))
            ports[name] = server.port
        late.close()
        await stopped.wait()


def tell(ports: dict[str, int]) -> None:
    """Writes the ports to the file that the test names."""
    Path(os.environ["SERVED_PORTS"]).write_text(json.dumps(ports))


gc.freeze()
gc.set_threshold(50)  # what a collection calls comes at any point of the layer's work
asyncio.run(main(int(sys.argv[1])))
