"""The handler named by `HANDLER` behind a protocol written by hand for uvloop: what HTTP costs in Python at the least.

`python raw.py PORT`. No framework: httptools reads the requests, orjson the bodies, and what a turn of the loop has
made for a connection is written in one piece.
"""

import asyncio
import os
import sys
from typing import Any

import handlers
import httptools
import orjson
import uvloop

handler = getattr(handlers, os.environ.get("HANDLER", "awaiting"))

STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
VALUE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
END = b"0\r\n\r\n"


class Connection(asyncio.Protocol):
    """One client: a request at a time."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.parser = httptools.HttpRequestParser(self)
        self.body: list[bytes] = []
        self.events: list[bytes] = []
        self.wants_value = False
        self.task: asyncio.Task[None] | None = None
        self.writable: asyncio.Future[None] | None = None

    def connection_made(self, transport: Any) -> None:
        """Keeps the transport."""
        self.transport = transport

    def connection_lost(self, _error: Exception | None) -> None:
        """Stops the handler."""
        if self.task is not None:
            self.task.cancel()

    def data_received(self, data: bytes) -> None:
        """Passes bytes to the parser, which calls the methods below."""
        self.parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Looks for what the client takes."""
        if name.lower() == b"accept":
            self.wants_value = value == b"application/json"

    def on_body(self, piece: bytes) -> None:
        """Keeps a piece of the request."""
        self.body.append(piece)

    def on_message_complete(self) -> None:
        """Starts the handler."""
        request = orjson.loads(b"".join(self.body))
        self.body.clear()
        self.task = self.loop.create_task(self.value(request) if self.wants_value else self.stream(request))

    def pause_writing(self) -> None:
        """Has the handler wait."""
        self.writable = self.loop.create_future()

    def resume_writing(self) -> None:
        """Lets the handler go on."""
        if self.writable is not None and not self.writable.done():
            self.writable.set_result(None)
        self.writable = None

    async def value(self, request: Any) -> None:
        """Answers with one value."""
        encoded = orjson.dumps(await handler(request))
        self.transport.write(VALUE % (len(encoded), encoded))

    async def stream(self, request: Any) -> None:
        """Answers with an event for each item."""
        self.add(STREAM)
        async for item in handler(request):
            event = b"data: " + orjson.dumps(item) + b"\n\n"
            self.add(b"%x\r\n%b\r\n" % (len(event), event))
            if self.writable is not None:
                await self.writable
        self.add(END)

    def add(self, piece: bytes) -> None:
        """Has a piece written at the end of this turn of the loop."""
        if not self.events:
            self.loop.call_soon(self.flush)
        self.events.append(piece)

    def flush(self) -> None:
        """Writes what was made since the last time."""
        self.transport.write(b"".join(self.events))
        self.events.clear()


async def main() -> None:
    """Serves until it is ended."""
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", int(sys.argv[1]), backlog=4096)
    await server.serve_forever()


uvloop.run(main())
