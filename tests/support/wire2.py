"""HTTP/2 by hand, without TLS: several streams on one connection, each of which can be reset."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, ResponseReceived, StreamEnded, StreamReset

from support.waiting import DEADLINE


@dataclass
class Stream:
    """What has come of one answer. `ended`: whole; `reset`: broken off by the server."""

    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    ended: bool = False
    reset: bool = False

    @property
    def status(self) -> int:
        """The status; a failure where no head has come."""
        return int(self.headers[":status"])


class Connection2:
    """A connection of HTTP/2 to a server on this machine; aborted when it is left."""

    def __init__(self, port: int) -> None:
        self.streams: dict[int, Stream] = {}
        self._port = port
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self._came = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._h2.initiate_connection()
        self._flush()
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.transport.abort()
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    def ask(self, path: str, do: list[Any], headers: dict[str, str] | None = None) -> int:
        """Sends a request; gives the number of its stream."""
        number = self._h2.get_next_available_stream_id()
        fields = {":method": "POST", ":scheme": "http", ":authority": "localhost", ":path": path}
        more = {name.lower(): value for name, value in (headers or {}).items()}
        self.streams[number] = Stream()
        self._h2.send_headers(number, [*(fields | {"content-type": "application/json"} | more).items()])
        self._h2.send_data(number, json.dumps({"do": do}).encode(), end_stream=True)
        self._flush()
        return number

    def reset(self, number: int) -> None:
        """Gives one stream up; the connection stays."""
        self._h2.reset_stream(number)
        self._flush()

    async def until(self, condition: Callable[[], object]) -> None:
        """Waits until what came makes the condition true."""
        async with asyncio.timeout(DEADLINE), self._came:
            await self._came.wait_for(lambda: condition() or self._reading.done())
        assert condition(), self.streams

    async def _read(self) -> None:
        try:
            while data := await self._reader.read(65536):
                for event in self._h2.receive_data(data):
                    self._take(event)
                self._flush()
                async with self._came:
                    self._came.notify_all()
        finally:
            async with self._came:
                self._came.notify_all()

    def _take(self, event: Event) -> None:
        match event:
            case ResponseReceived():
                self.streams[event.stream_id].headers = {str(name): str(value) for name, value in event.headers}
            case DataReceived():
                self.streams[event.stream_id].body += event.data
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case StreamEnded():
                self.streams[event.stream_id].ended = True
            case StreamReset():
                self.streams[event.stream_id].reset = True

    def _flush(self) -> None:
        self._writer.write(self._h2.data_to_send())
