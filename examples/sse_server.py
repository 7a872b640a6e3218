"""Server-sent events over asyncio's own streams: chunks go from the engine to the socket as they are.

`python examples/sse_server.py 8000`, then `curl -N 'http://127.0.0.1:8000/?Hello+pooled+world'`
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from functools import partial
from typing import Any
from urllib.parse import unquote_plus

from pybridge import PooledEngine

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"


async def chat(request: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    """One token for each word, a little apart, as a model would."""
    try:
        for word in request["prompt"].split():
            await asyncio.sleep(0.01)
            yield {"token": word}
    finally:
        print("handler: closed", flush=True)


async def answer(engine: PooledEngine, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serves one connection. Whatever ends it, leaving `async with` ends the handler too."""
    head = await reader.readuntil(b"\r\n\r\n")
    _, _, query = head.split(b" ", 2)[1].decode().partition("?")
    writer.write(HEAD)
    try:
        async with engine.chunks({"prompt": unquote_plus(query)}, framing="sse") as chunks:
            async for chunk in chunks:
                writer.write(chunk)
                await writer.drain()  # a slow client makes the handler wait at its `yield`
    except ConnectionError:
        print("client: gone", flush=True)
    finally:
        writer.close()


async def main(port: int) -> None:
    async with PooledEngine(chat) as engine:
        server = await asyncio.start_server(partial(answer, engine), "127.0.0.1", port)
        print("serving on port", server.sockets[0].getsockname()[1], flush=True)
        async with server:
            await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 8000))
