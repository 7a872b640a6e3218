"""What docs/asgi.md says is so: its files are served as it says, and its commands print what it shows."""

from __future__ import annotations

import ast
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pybridge import CallOptions, PooledEngine

from support.fronts import FRONTS, Front, Server

PAGE = (Path(__file__).parents[2] / "docs" / "asgi.md").read_text()
SERVERS = {"uvicorn": "uvicorn-h11-asyncio", "granian": "granian", "hypercorn": "hypercorn"}


@dataclass
class Section:
    """A file of the page that is served, how it is started, and what is asked then with what output."""

    name: str
    text: str
    started: list[list[str]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    client: str | None = None


def sections() -> Iterator[Section]:
    """The files of the page, each with the commands that follow it."""
    section: Section | None = None
    for language, text in re.findall(r"^```(python|console)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE):
        if language == "python":
            name = re.match(r"# (\w+)\.py\n", text)
            assert name, f"a block without the name of its file: {text}"
            if section and name[1] == "client":
                section.client = text
                continue
            if section:
                yield section
            section = Section(name[1], text)
        elif section:
            for command, output in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
                if command.startswith("curl "):
                    section.asked.append((command, output))
                elif f"{section.name}:app" in command:
                    section.started.append(command.split())
    if section:
        yield section


SECTIONS = {section.name: section for section in sections()}


def started(section: Section) -> list[Front]:
    """The servers that the page starts for this file, on a port of ours."""
    fronts = []
    for program, *arguments in section.started:
        where = ["--bind", "127.0.0.1:{port}"] if program == "hypercorn" else ["--port", "{port}"]
        fronts.append(Front(program, (program, *arguments, *where)))
    return fronts


@pytest.mark.parametrize("name", SECTIONS)
def test_each_file_is_served_and_asked_as_the_page_says(name: str, tmp_path: Path) -> None:
    section = SECTIONS[name]
    (tmp_path / f"{name}.py").write_text(section.text)
    assert started(section)
    for front in started(section):
        server = Server.start(front, tmp_path, cwd=tmp_path)
        try:
            for command, output in section.asked:
                assert shell(server, command).rstrip("\n") == output.rstrip("\n"), (front.name, command)
            if section.client:
                (tmp_path / "client.py").write_text(at(server, section.client))
                printed = shell(server, f"{sys.executable} client.py", cwd=tmp_path)
                assert printed == "Hello pooled world Hello pooled world \n"
        finally:
            server.stop()


def at(server: Server, text: str) -> str:
    return text.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")


def shell(server: Server, command: str, cwd: Path | None = None) -> str:
    """What a command prints that succeeds, sent to this server."""
    environment = {**os.environ, "NO_PROXY": "*", "no_proxy": "*"}
    quiet = at(server, command).replace("curl ", "curl -sS ", 1)
    done = subprocess.run(quiet, shell=True, capture_output=True, text=True, cwd=cwd, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, ""), command
    return done.stdout


def test_each_file_of_the_page_is_tried() -> None:
    assert {*SECTIONS} == {"app", "serve", "routes", "mounted", "guarded"}
    assert all(section.asked or section.client for section in SECTIONS.values())
    assert {front.name for front in started(SECTIONS["serve"])} == set(SERVERS)


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


def test_each_server_of_the_page_is_one_that_all_rules_are_tested_with() -> None:
    assert set(SERVERS.values()) < set(FRONTS)
