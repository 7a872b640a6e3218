"""The examples run as they stand, and print what their words promise."""

from __future__ import annotations

import ast
import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from support.processes import noise

EXAMPLES = Path(__file__).parents[2] / "examples"

PRINTED = {
    "quickstart": """
        item {'token': 'Hello'}
        item {'token': 'pooled'}
        item {'token': 'world'}
        frame of 13 bytes: {'token': 'Hello'}
        frame of 14 bytes: {'token': 'pooled'}
        frame of 13 bytes: {'token': 'world'}
        chunk b'data: {"token":"Hello"}\\n\\n'
        chunk b'data: {"token":"pooled"}\\n\\n'
        chunk b'data: {"token":"world"}\\n\\n'
        call 18
        streams so far 3
        iter ['no', 'loop', 'here']
    """,
    "nested": """
        1 ping (request-7)
        2 pong (request-7)
        3 ping (request-7)
        inner handler ended: parent
        both ended: 0 0
    """,
    "from_sync": """
        {'line': 0, 'on_main_thread': False}
        {'line': 1, 'on_main_thread': False}
        first of many: 0
        closed: [2, 1000000]
    """,
    "lifespan": """
        model opened
        {'tenant': 'blue', 'token': 'HELLO'}
        {'tenant': 'blue', 'token': 'BLUE'}
        {'tenant': 'green', 'token': 'HELLO'}
        {'tenant': 'green', 'token': 'GREEN'}
        model closed
    """,
    "backpressure": """
        ahead of its consumer by at most 32 items: True
        and nothing is lost: True
        started
        handler: cancelled at its await
        consumer: deadline
        started
        refused at once, worth a retry: True
        handler: cancelled at its await
    """,
}


def command(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-X", "dev", "-W", "error", str(EXAMPLES / f"{name}.py"), *arguments]


@pytest.mark.parametrize("name", PRINTED)
def test_example_prints_what_it_promises(name: str, tmp_path: Path) -> None:
    done = subprocess.run(command(name), cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, noise(done.stderr)) == (0, "")
    assert done.stdout.split("\n") == [*(line.strip() for line in PRINTED[name].strip().split("\n")), ""]


def test_every_example_is_run_by_a_test() -> None:
    """The applications by `tests/protocol`."""
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*PRINTED, "fastapi_app", "openai_app", "sse_server"}


def test_every_example_says_what_it_shows() -> None:
    for path in EXAMPLES.rglob("*.py"):
        assert ast.get_docstring(ast.parse(path.read_text())), path


async def served(port: int, query: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def test_sse_server_streams_events_and_closes_the_handler_of_a_client_that_went(tmp_path: Path) -> None:
    pipe = asyncio.subprocess.PIPE
    server = await asyncio.create_subprocess_exec(
        *command("sse_server", "0"), cwd=tmp_path, stdout=pipe, stderr=asyncio.subprocess.STDOUT
    )
    assert server.stdout
    try:
        port = int((await server.stdout.readline()).split()[-1])
        reader, writer = await served(port, "Hello+pooled%20world")
        events = [f'data: {{"token":"{word}"}}\n\n' for word in ("Hello", "pooled", "world")]
        assert (await reader.read()).decode() == "".join(events)
        assert await server.stdout.readline() == b"handler: closed\n"
        writer.close()
        await writer.wait_closed()

        reader, writer = await served(port, "+".join(["word"] * 10_000))
        await reader.readuntil(b"\n\n")
        writer.transport.abort()
        assert {await server.stdout.readline(), await server.stdout.readline()} == {
            b"handler: closed\n",
            b"client: gone\n",
        }
    finally:
        server.kill()
        await server.wait()
