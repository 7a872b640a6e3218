"""docs/asgi.md is true: its files are served as it says, and its commands print what it shows."""

from __future__ import annotations

import ast
import inspect
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from pybridge import CallOptions, PooledEngine

from support.fronts import FRONTS, Front, Server
from support.pages import Section, at, sections, shell

PAGE = (Path(__file__).parents[2] / "docs" / "asgi.md").read_text()
SERVERS = {"uvicorn": "uvicorn-h11-asyncio", "granian": "granian", "hypercorn": "hypercorn"}


SECTIONS = {section.name: section for section in sections(PAGE)}
ASKED = [name for name, section in SECTIONS.items() if section.asked or section.client]
SAID = "Hello pooled world Hello pooled world \n"


def started(section: Section) -> list[Front]:
    """The servers that the page starts for this file, on a port of ours."""
    fronts = []
    for program, *arguments in section.started:
        where = ["--bind", "127.0.0.1:{port}"] if program == "hypercorn" else ["--port", "{port}"]
        fronts.append(Front(program, (program, *arguments, *where)))
    return fronts


@pytest.mark.parametrize("name", ASKED)
def test_each_file_is_served_and_asked_as_the_page_says(name: str, tmp_path: Path) -> None:
    section = SECTIONS[name]
    (tmp_path / f"{name}.py").write_text(section.text)
    assert started(section)
    for front in started(section):
        server = Server.start(front, tmp_path, cwd=tmp_path)
        try:
            for command, output in section.asked:
                assert shell(server.port, command).rstrip("\n") == output.rstrip("\n"), (front.name, command)
            if section.client:
                assert talk(server, section.client, tmp_path) == SAID
        finally:
            server.stop()


def served(name: str, folder: Path) -> Server:
    """A file of the page, by the first server that the page starts for it."""
    (folder / f"{name}.py").write_text(SECTIONS[name].text)
    return Server.start(started(SECTIONS[name])[0], folder, cwd=folder)


def talk(server: Server, client: str, folder: Path) -> str:
    """What a client of the page prints, sent to this server."""
    (folder / "client.py").write_text(at(server.port, client))
    return shell(server.port, f"{sys.executable} client.py", cwd=folder)


def test_each_file_of_the_page_is_tried() -> None:
    assert {*SECTIONS} == {"app", "relay", "serve", "routes", "mounted", "factory", "guarded", "quota", "logs"}
    assert SECTIONS.keys() - {*ASKED} == {"relay"}
    assert {front.name for front in started(SECTIONS["serve"])} == set(SERVERS)


def test_a_relay_gives_what_the_model_behind_it_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = SECTIONS["app"].client
    assert client
    folders = tmp_path / "model", tmp_path / "relay"
    for folder in folders:
        folder.mkdir()
    model = served("app", folders[0])
    try:
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{model.port}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        monkeypatch.setenv("NO_PROXY", "*")
        relay = served("relay", folders[1])
        try:
            for base in ("/v1", "/text/v1"):
                assert talk(relay, client.replace("/v1", base), tmp_path) == SAID
            unknown = ask(
                relay, "/v1/chat/completions", {"model": "none", "messages": [{"role": "user", "content": ""}]}
            )
            assert (unknown.status_code, unknown.json()["error"]["message"]) == (404, "the model refused the request")
            prompt = ask(relay, "/v1/completions", {"model": "echo", "prompt": "Hello"})
            assert (prompt.status_code, prompt.json()["error"]["message"]) == (400, "there are no messages")
        finally:
            relay.stop()
    finally:
        model.stop()


def ask(server: Server, path: str, body: Any, **headers: str) -> httpx.Response:
    return httpx.post(f"http://127.0.0.1:{server.port}{path}", json=body, headers=headers, trust_env=False)


def test_the_tests_of_the_page_pass(tmp_path: Path) -> None:
    section = SECTIONS["factory"]
    assert section.test
    (tmp_path / "factory.py").write_text(section.text)
    (tmp_path / "test_factory.py").write_text(section.test)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_a_factory_closes_its_model_when_uvicorn_is_told_to_stop(tmp_path: Path) -> None:
    server = served("factory", tmp_path)
    try:
        assert ask(server, "/greet/", {"name": "Ada"}).status_code == 200
    finally:
        log = server.stop()
    assert "the model is closed" in log
    assert server.process.returncode == -signal.SIGTERM


LOOPS = """
from fastapi.testclient import TestClient
from {name} import app
for _ in range(2):
    with TestClient(app) as client:
        print(client.post("{path}", json={body}, headers={{"x-key": "secret"}}).status_code)
"""
CLOSED = """
from fastapi.testclient import TestClient
from factory import create_app
app = create_app()
for _ in range(2):
    with TestClient(app) as client:
        answer = client.post("/greet/", json={"name": "Ada"})
        print(answer.status_code, answer.json()["error"]["code"] if answer.is_error else "")
"""


@pytest.mark.parametrize(
    ("name", "path", "body"),
    [
        ("app", "/v1/chat/completions", {"model": "echo", "messages": [{"role": "user", "content": "Hello"}]}),
        ("routes", "/generate", {"prompt": "Hello"}),
        ("mounted", "/count/generate", {"to": 1}),
    ],
)
def test_an_app_without_a_lifespan_serves_one_loop_after_the_other(
    name: str, path: str, body: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / f"{name}.py").write_text(SECTIONS[name].text)
    snippet = LOOPS.format(name=name, path=path, body=body)
    assert python(snippet, tmp_path).replace("answered blue\n", "") == "200\n200\n"


def test_an_engine_that_a_lifespan_closed_serves_no_second_loop(tmp_path: Path) -> None:
    (tmp_path / "factory.py").write_text(SECTIONS["factory"].text)
    assert "503 engine_closed" in python(CLOSED, tmp_path)


def python(snippet: str, folder: Path) -> str:
    """What a snippet prints beside the files of a folder."""
    return subprocess.run(
        [sys.executable, "-c", snippet], capture_output=True, text=True, cwd=folder, check=True
    ).stdout


def test_what_breaks_off_is_logged_once_where_the_page_says_so(tmp_path: Path) -> None:
    server = served("logs", tmp_path)
    try:
        with pytest.raises(httpx.RemoteProtocolError):
            ask(server, "/generate", {"by": [1] * 100_000 + [0]}, Accept="application/x-ndjson")
    finally:
        log = server.stop()
    told = (tmp_path / "failures.log").read_text()
    assert (told.count("ZeroDivisionError"), told.count("the handler failed")) == (1, 1)
    assert "broke off" not in log


MOUNT = """
from fastapi import Depends, FastAPI, HTTPException
from fastapi.testclient import TestClient
from pybridge import PooledEngine

def refuse():
    raise HTTPException(401)

async def failing(request):
    yield {"n": 0}
    raise HTTPException(404)

async def missing(request):
    raise HTTPException(404)
    yield

app = FastAPI(dependencies=[Depends(refuse)])
app.mount("/internal", PooledEngine(missing).asgi(health=True))
app.mount("/", PooledEngine(failing).asgi())
client = TestClient(app, raise_server_exceptions=False)
print(client.post("/internal/generate", json={}).status_code, client.get("/internal/health/ready").status_code)
print(client.get("/nowhere").json()["error"]["code"], [*client.get("/openapi.json").json()["paths"]])
"""


def test_a_mount_is_none_of_fastapis_routes(tmp_path: Path) -> None:
    assert python(MOUNT, tmp_path) == "500 200\nnot_found []\n"


def options(title: str) -> dict[str, str]:
    """The first two columns of a table of options; a row may tell several."""
    table = PAGE.partition(f"| `{title}` | default | |\n")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (`.*?) \| (.*?) \|", table, re.MULTILINE)
    found: dict[str, str] = {}
    for names, defaults in rows:
        each = [default.strip() for default in defaults.split(",")] if "()" not in defaults else [defaults]
        listed = re.findall(r"`(\w+)`", names)
        found.update(zip(listed, each * len(listed) if len(each) == 1 else each, strict=False))
    return found


@pytest.mark.parametrize(("title", "method"), [("engine.asgi(…)", "asgi"), ("engine.response(request, …)", "response")])
def test_each_option_is_told_with_its_default(title: str, method: str) -> None:
    parameters = dict(inspect.signature(getattr(PooledEngine, method)).parameters)
    for name in ("self", "request", "options"):
        parameters.pop(name, None)
    told = options(title)
    assert told.keys() - CallOptions.__annotations__.keys() == parameters.keys() - CallOptions.__annotations__.keys()
    for name, parameter in parameters.items():
        if name != "path":
            assert ast.literal_eval(told[name].strip("`")) == parameter.default, name


BAD: dict[int, tuple[str, str, Any, dict[str, str]]] = {
    200: ("POST", "generic", b'{"do": []}', {}),
    400: ("POST", "generic", b"{", {}),
    404: ("POST", "generic/no", b"{}", {}),
    405: ("GET", "generic", b"", {}),
    406: ("POST", "generic", b"{}", {"Accept": "image/png"}),
    413: ("POST", "narrow", b" " * 70_000, {}),
    415: ("POST", "generic", b"{}", {"Content-Type": "text/plain"}),
    500: ("POST", "generic", b'{"do": [{"raise": "x"}]}', {}),
    503: ("POST", "closed", b"{}", {}),
    504: ("POST", "generic", b'{"do": ["wait"]}', {"X-Request-Timeout": "0.05"}),
}


async def test_each_status_of_the_table_is_given_for_what_the_table_says(one_server: Server) -> None:
    table = re.findall(r"^\| (\d{3}) \|.*\|(.*)\|$", PAGE, re.MULTILINE)
    assert [int(status) for status, _ in table] == list(BAD)
    async with one_server.client() as client:
        for status, codes in table:
            method, service, body, headers = BAD[int(status)]
            service, _, more = service.partition("/")
            url = one_server.url(service, "/generate") + more
            headers = {"Content-Type": "application/json", **headers}
            response = await client.request(method, url, content=body, headers=headers)
            assert response.status_code == int(status)
            if status != "200":
                assert f"`{response.json()['error']['code']}`" in codes


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", None),
        (b"[1]", None),
        (b'{"model": "m", "stream_options": {}}', None),
        (b"{}", "missing_required_parameter"),
        (b'{"model": 7}', "invalid_type"),
        (b'{"model": "m", "stream": 1}', "invalid_type"),
        (b'{"model": "m", "stream": true, "stream_options": 1}', "invalid_type"),
    ],
)
async def test_the_openai_protocol_has_codes_of_its_own(one_server: Server, body: bytes, code: str | None) -> None:
    told = PAGE.partition("The OpenAI protocol tells its own codes of a 400")[2].partition("\n\n")[0]
    assert f"`{code or 'null'}`" in told
    headers = {"Content-Type": "application/json"}
    async with one_server.client() as client:
        url = one_server.url("openai", "/v1/chat/completions")
        response = await client.post(url, content=body, headers=headers)
    assert (response.status_code, response.json()["error"]["code"]) == (400, code)


@pytest.mark.guarantee("W-01")
def test_each_server_of_the_page_is_one_that_all_rules_are_tested_with() -> None:
    assert set(SERVERS.values()) < set(FRONTS)
