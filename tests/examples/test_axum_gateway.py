"""The Rust gateway of `examples/axum_gateway`, asked by the clients that people have."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import openai
import pytest

from support import skips
from support.waiting import until

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "axum_gateway"
FAULTS = Path(__file__).parent / "gateway"

# The first run compiles the program.
pytestmark = [skips.where("there is no libpython that a program could link"), pytest.mark.timeout(600)]

Starter = Callable[..., "Gateway"]


@dataclass
class Gateway:
    """A gateway that runs."""

    process: subprocess.Popen[str]
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def openai(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key="none")

    async def noted(self, line: str) -> None:
        """Waits until a handler has noted this."""
        await until(lambda: f"{line}\n" in self.log.read_text(), lambda: f"{line} in {self.log.read_text()}")

    async def stop(self) -> str:
        """Asks it to stop as a supervisor does; gives what it printed, after its exit with status 0."""
        self.process.send_signal(signal.SIGTERM)
        printed, _ = await asyncio.to_thread(self.process.communicate)
        assert self.process.returncode == 0, self.log.read_text()
        return printed


@dataclass
class Answer:
    """An answer whose head has come."""

    status: int
    headers: dict[str, str]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def body(self) -> tuple[str, bool]:
        """What comes of a body in chunks, and whether it came whole."""
        body = b""
        try:
            while size := int(await self.reader.readline() or b"-1", 16):
                if size < 0:
                    return body.decode(), False
                body += (await self.reader.readexactly(size + 2))[:-2]
        except (asyncio.IncompleteReadError, ConnectionError):
            return body.decode(), False
        return body.decode(), True

    async def error(self) -> dict[str, str]:
        """What an answer of JSON says went wrong."""
        body = await self.reader.readexactly(int(self.headers["content-length"]))
        error: dict[str, str] = json.loads(body)["error"]
        return error

    def close(self) -> None:
        self.writer.transport.abort()


def message(text: str) -> str:
    return json.dumps({"model": "m", "stream": True, "messages": [{"role": "user", "content": text}]})


async def send(gateway: Gateway, text: str, **headers: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    body = message(text)
    head = {"Host": "localhost", "Content-Length": str(len(body)), **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in head.items())
    writer.write(f"POST /v1/chat/completions HTTP/1.1\r\n{lines}\r\n{body}".encode())
    return reader, writer


async def ask(gateway: Gateway, text: str, **headers: str) -> Answer:
    reader, writer = await send(gateway, text, **headers)
    head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
    fields = [line.split(": ", 1) for line in head[1:] if line]
    return Answer(int(head[0].split()[1]), {name.lower(): value for name, value in fields}, reader, writer)


def contents(body: str) -> list[str]:
    """What the events say, `[DONE]` included; an event of a failure is its code."""
    said = []
    for event in body.removesuffix("\n\n").split("\n\n"):
        data = event.rpartition("data: ")[2]
        if event.startswith("event: error\n"):
            said.append(f"error {json.loads(data)['error']['code']}")
        elif data == "[DONE]":
            said.append(data)
        else:
            said.append(json.loads(data)["choices"][0]["delta"].get("content", ""))
    return said


@pytest.fixture(scope="module")
def binary() -> Path:
    """The program, built as its README says."""
    build = ["cargo", "build", "--quiet", "--locked", "--target-dir", str(ROOT / "target")]
    environment = {**os.environ, "PYO3_PYTHON": sys.executable}
    subprocess.run([*build, "--manifest-path", str(EXAMPLE / "Cargo.toml")], env=environment, check=True)
    return ROOT / "target" / "debug" / "axum_gateway"


@pytest.fixture
def start(binary: Path, tmp_path: Path) -> Iterator[Starter]:
    """Starts gateways; kills those that still run after the test."""
    running: list[subprocess.Popen[str]] = []

    def start(folder: Path = FAULTS, grace: float = 10) -> Gateway:
        log = tmp_path / "log"
        environment = {**os.environ, "VIRTUAL_ENV": sys.prefix}
        with log.open("w") as noise:
            process = subprocess.Popen(
                [binary, "0", str(grace)], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=noise, text=True
            )
        running.append(process)
        assert process.stdout
        line = process.stdout.readline()
        assert line.startswith("serving on http://127.0.0.1:"), log.read_text()
        return Gateway(process, int(line.rpartition(":")[2]), log)

    yield start
    for process in running:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


@pytest.fixture
def gateway(start: Starter) -> Gateway:
    """A gateway before handlers that fail in every way."""
    return start()


def curl(*arguments: str) -> str:
    skips.without_curl()
    done = subprocess.run(["curl", "--silent", "--show-error", *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_example_answers_curl(start: Starter) -> None:
    gateway = start(EXAMPLE)
    events = curl("--no-buffer", f"{gateway.url}/v1/chat/completions", "--data", message("Hello pooled world"))
    assert contents(events) == ["", "Hello ", "pooled ", "world ", "", "[DONE]"]
    typed = ("--header", "Content-Type: application/json", "--data", '{"text": "Hello pooled world"}')
    assert curl(f"{gateway.url}/count", *typed) == '{"words":3}'
    failed = curl("--include", f"{gateway.url}/v1/chat/completions", "--data", "{}")
    assert failed.startswith("HTTP/1.1 400 ")
    assert "missing_messages" in failed
    metrics = curl(f"{gateway.url}/metrics")
    assert re.search(r'^pybridge_streams_ended_total\{.*chat",ending="finished",reason=""\} 1$', metrics, re.MULTILINE)


@pytest.mark.guarantee("W-31")
async def test_the_client_of_openai_reads_the_example(start: Starter) -> None:
    async with start(EXAMPLE).openai as client:
        stream = await client.chat.completions.create(
            model="echo", stream=True, messages=[{"role": "user", "content": "Hello pooled world"}]
        )
        chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello pooled world "
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None, None, None, None, "stop"]
    assert {chunk.model for chunk in chunks} == {"echo"}


async def test_the_client_of_openai_is_told_of_failures_and_repeats_none_of_the_handlers(gateway: Gateway) -> None:
    async with gateway.openai as client:

        async def read(text: str) -> None:
            stream = await client.chat.completions.create(
                model="m", stream=True, messages=[{"role": "user", "content": text}]
            )
            async for chunk in stream:
                said.append(chunk.choices[0].delta.content)  # noqa: PERF401 - what came before a failure counts

        said: list[str | None] = []
        with pytest.raises(openai.NotFoundError) as missing:
            await read("public!")
        assert missing.value.code == "model_not_found"
        with pytest.raises(openai.InternalServerError) as failed:
            await read("raise!")
        assert (failed.value.code, failed.value.type) == ("handler_error", "server_error")
        assert not said
        with pytest.raises(openai.APIError, match="the handler failed"):
            await read("Hello raise!")
        assert said == ["Hello"]
    assert gateway.log.read_text().count("begun") == 3


async def test_two_hundred_connections_each_get_their_own(gateway: Gateway) -> None:
    async def one(number: int) -> None:
        answer = await ask(gateway, f"{number} " * 20)
        body, whole = await answer.body()
        assert whole
        assert contents(body) == [str(number)] * 20 + ["", "[DONE]"]
        answer.close()

    async with asyncio.TaskGroup() as tasks:
        for number in range(200):
            tasks.create_task(one(number))


async def test_a_client_that_goes_cancels_its_handler_before_and_after_the_first_item(gateway: Gateway) -> None:
    _, writer = await send(gateway, "wait!", X_Request_Id="before")
    await gateway.noted("before: begun")
    writer.transport.abort()
    await gateway.noted("before: client")

    answer = await ask(gateway, "Hello wait!", X_Request_Id="after")
    await answer.reader.readuntil(b"Hello")
    answer.close()
    await gateway.noted("after: client")


async def test_an_exception_before_the_first_item_has_a_status_and_one_after_it_an_event(gateway: Gateway) -> None:
    before = await ask(gateway, "raise!", X_Request_Id="r-1")
    assert (before.status, before.headers["x-should-retry"], before.headers["x-request-id"]) == (500, "false", "r-1")
    error = await before.error()
    assert (error["message"], error["code"], error["request_id"]) == ("the handler failed", "handler_error", "r-1")

    after = await ask(gateway, "Hello raise!")
    assert after.status == 200
    body, whole = await after.body()
    assert (contents(body), whole) == (["Hello", "error handler_error"], False)
    before.close()
    after.close()


async def test_a_deadline_has_a_status_before_the_first_item_and_an_event_after_it(gateway: Gateway) -> None:
    before = await ask(gateway, "wait!", X_Request_Timeout="0.2")
    assert before.status == 504
    assert (await before.error())["code"] == "deadline"
    after = await ask(gateway, "Hello wait!", X_Request_Timeout="0.2")
    body, whole = await after.body()
    assert (contents(body), whole) == (["Hello", "error deadline"], False)
    refused = await ask(gateway, "Hello", X_Request_Timeout="soon")
    assert (refused.status, (await refused.error())["param"]) == (400, "x-request-timeout")
    for answer in (before, after, refused):
        answer.close()


async def test_calls_beyond_the_queue_are_told_to_come_again(gateway: Gateway) -> None:
    """256 run and 64 wait, says the program."""
    running = await asyncio.gather(*(ask(gateway, "Hello wait!") for _ in range(256)))
    asked = [asyncio.create_task(ask(gateway, "Hello")) for _ in range(65)]
    (first,), waiting = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
    refused = first.result()
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert (await refused.error())["code"] == "overloaded"
    for answer in running:
        answer.close()
    served = await asyncio.gather(*waiting)
    assert [answer.status for answer in served] == [200] * 64
    for answer in (refused, *served):
        answer.close()


async def test_a_stop_lets_streams_finish_and_takes_no_new_calls(gateway: Gateway) -> None:
    answer = await ask(gateway, "Hello pause! pause! world")
    stopping = asyncio.create_task(gateway.stop())
    body, whole = await answer.body()
    assert (contents(body), whole) == (["Hello", "world", "", "[DONE]"], True)
    answer.close()
    assert await stopping == "finished 1, cancelled 0\n"
    with pytest.raises(ConnectionError):
        await asyncio.open_connection("127.0.0.1", gateway.port)


async def test_a_stop_cancels_what_goes_on_after_its_grace(start: Starter) -> None:
    gateway = start(grace=0.3)
    answer = await ask(gateway, "Hello wait!", X_Request_Id="endless")
    stopping = asyncio.create_task(gateway.stop())
    body, whole = await answer.body()
    assert (contents(body), whole) == (["Hello", "error shutdown"], False)
    answer.close()
    assert await stopping == "finished 0, cancelled 1\n"
    await gateway.noted("endless: shutdown")
