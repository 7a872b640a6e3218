"""HTTP/1.1 by hand: a client that shows how a message ends and can leave at any byte."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self


def head(method: str, path: str, headers: dict[str, str]) -> bytes:
    """A request's head as bytes."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in {"Host": "localhost", **headers}.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode()


def chunked(*pieces: bytes) -> bytes:
    """A body in chunks."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))


@dataclass
class Answer:
    """An answer whose head has come."""

    status: int
    headers: dict[str, str]
    connection: Connection
    received: bytes = field(default=b"", init=False)

    async def piece(self) -> bytes | None:
        """The next chunk of the body; None: the message is whole.

        Raises:
            ConnectionError: The message breaks off.
        """
        reader = self.connection.reader
        try:
            if "content-length" in self.headers:
                missing = int(self.headers["content-length"]) - len(self.received)
                piece = await reader.readexactly(missing) if missing else b""
            else:
                size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
                piece = (await reader.readexactly(size + 2))[:-2]
        except asyncio.IncompleteReadError as error:
            raise ConnectionError("the message breaks off") from error
        self.received += piece
        return piece or None

    async def until(self, text: bytes) -> bytes:
        """What has come of the body as soon as it holds this."""
        while text not in self.received:
            assert await self.piece() is not None, self.received
        return self.received

    async def body(self) -> tuple[bytes, bool]:
        """All that comes of the body, and whether it came whole."""
        try:
            while await self.piece() is not None:
                pass
        except ConnectionError:
            return self.received, False
        return self.received, True

    async def whole(self) -> bytes:
        """The body, which must come whole."""
        body, whole = await self.body()
        assert whole, body
        return body

    async def error(self) -> dict[str, Any]:
        """What an answer of JSON says went wrong."""
        error: dict[str, Any] = json.loads(await self.whole())["error"]
        return error


class Connection:
    """A connection to a server on this machine; aborted when it is left, or by `Loop` at the end of the test."""

    opened: ClassVar[list[Connection]] = []

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.opened.append(self)

    @classmethod
    async def open(cls, port: int, receive_buffer: int | None = None) -> Self:
        """Connects; with a small `receive_buffer` a server soon finds a client that does not read."""
        peer = socket.socket()
        peer.setblocking(False)
        if receive_buffer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await asyncio.get_running_loop().sock_connect(peer, ("127.0.0.1", port))
        return cls(*await asyncio.open_connection(sock=peer))

    async def send(self, data: bytes) -> None:
        """Sends bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def request(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        """Sends a request with its length."""
        await self.send(head(method, path, {"Content-Length": str(len(body)), **(headers or {})}) + body)

    async def answer(self) -> Answer:
        """Waits for the head of an answer."""
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        fields = [line.split(":", 1) for line in lines[1:] if line]
        headers = {name.lower(): value.strip() for name, value in fields}
        return Answer(int(lines[0].split()[1]), headers, self)

    def fin(self) -> None:
        """Closes the connection as a client does that is done."""
        self.writer.close()

    def rst(self) -> None:
        """Breaks the connection off, as a client does that dies."""
        peer: socket.socket = self.writer.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def half_close(self) -> None:
        """Says that nothing more will be sent; goes on reading."""
        self.writer.write_eof()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.transport.abort()


class Loop(asyncio.SelectorEventLoop):
    """An event loop that aborts the connections which a test has left open, so that no test need close each."""

    def close(self) -> None:
        """Aborts them and closes the loop."""
        for connection in Connection.opened:
            connection.writer.transport.abort()
        Connection.opened.clear()
        if not self.is_closed():
            self.run_until_complete(asyncio.sleep(0))
        super().close()
