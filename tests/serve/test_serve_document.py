"""docs/serve.md is true: its files are served as it says, and its commands print what it shows."""

from __future__ import annotations

import configparser
import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pybridge import FlowConfig
from pybridge._serve.settings import ServerSettings
from pybridge.cli import main

from support.fronts import Front, Server
from support.pages import Section, sections, shell

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "serve.md").read_text()
SECTIONS = {section.name: section for section in sections(PAGE)}


def start(section: Section, folder: Path) -> Server:
    """The server as the page starts it, on a port of ours."""
    (folder / f"{section.name}.py").write_text(section.text)
    program, *arguments = section.started[0]
    front = Front(
        program, (program, *(argument.strip("'") for argument in arguments), "--port", "{port}"), kind="serve"
    )
    return Server.start(front, folder, cwd=folder)


@pytest.mark.parametrize("name", ["chat", "count", "model", "upload"])
def test_each_file_is_served_and_asked_as_the_page_says(name: str, tmp_path: Path) -> None:
    section = SECTIONS[name]
    assert section.asked
    server = start(section, tmp_path)
    try:
        for command, output in section.asked:
            assert shell(server.port, command, tmp_path).rstrip("\n") == output.rstrip("\n"), command
    finally:
        log = server.stop()
    assert f"pybridge: serving on http://127.0.0.1:{server.port}" in log
    assert server.process.returncode == 0


WRONG = """
async def numbers():
    yield 1

async def forgotten(request):
    numbers()

async def returns(request):
    return numbers()

def plain(request):
    return dict()
"""


@pytest.mark.parametrize(
    ("arguments", "answer", "line"),
    [
        (["forgotten"], "null", "returns None for every request"),
        (["returns"], '"encode_error"', "cannot encode async_generator"),
        (["returns", "--no-unary"], "[1]", None),
        (["plain"], '"handler_error"', "the handler returned dict, which is neither an async generator nor awaitable"),
    ],
)
def test_handlers_that_are_not_what_they_seem_do_what_troubleshooting_says(
    arguments: list[str], answer: str, line: str | None, tmp_path: Path
) -> None:
    (tmp_path / "wrong.py").write_text(WRONG)
    name, *options = arguments
    front = Front("serve", ("pybridge", "serve", f"wrong:{name}", *options, "--port", "{port}"), kind="serve")
    server = Server.start(front, tmp_path, cwd=tmp_path)
    try:
        assert answer in shell(server.port, "curl http://127.0.0.1:8000/generate --json '{}'")
    finally:
        log = server.stop()
    if line:
        assert line in (ROOT / "docs" / "troubleshooting.md").read_text()
        assert line in log


def test_a_program_serves_its_engine_as_the_page_says(tmp_path: Path) -> None:
    section = SECTIONS["embedded"]
    (tmp_path / "embedded.py").write_text(section.text.replace("port=8000", "port=0"))
    command = [sys.executable, "embedded.py"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            port = int(process.stdout.readline().rpartition(":")[2])
            for asked, output in section.asked:
                assert shell(port, asked).rstrip("\n") == output.rstrip("\n"), asked
        finally:
            process.kill()


def test_each_file_of_the_page_is_tried() -> None:
    assert {*SECTIONS} == {"chat", "count", "model", "upload", "embedded"}


def test_each_option_that_the_page_names_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    known = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out))
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+\w", PAGE))
    assert named - known <= {"--json", "--data-binary", "--no-cache-dir", "--help", *("--pool", "--flow", "--limits")}


def test_each_block_of_yaml_can_be_read() -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert [list(yaml.safe_load(block)) for block in blocks] == [["scrape_configs"], ["spec"]]


def test_the_unit_of_systemd_can_be_read_and_reloaded() -> None:
    (block,) = re.findall(r"^```ini\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    unit = configparser.ConfigParser(interpolation=None)
    unit.read_string(block)
    assert unit["Service"]["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert "--workers" in unit["Service"]["ExecStart"]


def test_each_default_of_the_table_of_time_outs_is_so() -> None:
    rows = re.findall(r"^\| (`--[^|]+) \| ([\d s,]+) \|", PAGE, re.MULTILINE)
    shown = {
        option: float(time.removesuffix(" s"))
        for options, times in rows
        for option, time in zip(re.findall(r"`--([a-z-]+)`", options), times.split(", "), strict=True)
    }
    known = {**dataclasses.asdict(ServerSettings()), "flow_cancel_grace": FlowConfig().cancel_grace}
    assert len(shown) == 10
    assert shown == {option: known[option.replace("-", "_")] for option in shown}
