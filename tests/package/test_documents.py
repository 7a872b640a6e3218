"""Blocks of code in the documents are run, compiled or read; those that a test of their own runs are named here."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support import skips
from support.documents import PARSERS, Block, blocks, check_command, check_python, commands
from support.fronts import Front, Server
from support.pages import at
from support.waiting import wait_until

ROOT = Path(__file__).parents[2]
BLOCKS = blocks()

RUN_ELSEWHERE = {
    "docs/asgi.md": "protocol/test_asgi_document.py",
    "docs/memory.md": "package/test_readme.py",
    "docs/pool.md": "package/test_readme.py",
    "docs/serve.md": "serve/test_serve_document.py",
    "docs/serving.md": "streams/test_serving_document.py",
    "docs/streams.md": "streams/test_streams_document.py",
    "docs/tuning.md": "package/test_readme.py",
    "docs/values.md": "codec/test_values_document.py",
}
"""Pages whose Python is run by a test of their own, below `tests`."""

RUN_HERE = ["docs/migrating.md", "docs/quickstart.md", "docs/troubleshooting.md"]
"""Pages whose files are written and whose commands are run, in their order."""

ONLY_COMPILED = {
    "README.md": {"engine", "enough", "request"},  # the first block is served by a test of its own
    "docs/rust.md": set[str](),
    "docs/scale-out.md": set[str](),  # run by `make scale-out`, which has Ray
}
"""Documents whose Python is compiled, with the names that stand for the reader's own."""

PRINTED = {"pytb"}
"""Languages of what programs print."""


def of(*languages: str) -> list[Block]:
    return [block for block in BLOCKS if block.language in languages]


def test_each_block_has_a_language_that_is_looked_at() -> None:
    assert {block.language for block in BLOCKS} == {"python", "console", *PARSERS, *PRINTED}


def test_each_document_with_python_is_run_or_compiled_and_no_other_is_listed() -> None:
    listed = [*RUN_ELSEWHERE, *RUN_HERE, *ONLY_COMPILED]
    assert sorted(listed) == sorted({block.document for block in of("python")})


@pytest.mark.parametrize("document", RUN_ELSEWHERE)
def test_a_page_that_is_run_elsewhere_is_named_there(document: str) -> None:
    name = Path(document)
    assert re.search(rf'"{name.stem}(\.md)?"', (ROOT / "tests" / RUN_ELSEWHERE[document]).read_text())


@pytest.mark.parametrize("document", ONLY_COMPILED)
def test_python_that_is_not_run_compiles_and_names_what_exists(document: str) -> None:
    known = {*ONLY_COMPILED[document]}
    for block in of("python"):
        if block.document == document:
            check_python(block.text, known)


@pytest.mark.parametrize("block", of("console"), ids=str)
def test_commands_of_a_session_exist_with_their_options(block: Block) -> None:
    assert commands(block.text)
    for words in commands(block.text):
        check_command(words)


@pytest.mark.parametrize("block", of(*PARSERS), ids=str)
def test_a_block_in_another_language_can_be_read(block: Block) -> None:
    PARSERS[block.language](block.text)


@pytest.mark.parametrize(
    ("language", "wrong"),
    [
        ("conf", "[Service]\nLoadCredential\n"),
        ("dockerfile", 'FROM a\nCMD ["pybridge", "serve", "chat:chat", "--prot", "80"]'),
        ("ini", "[Unit]\n[Service]\nExecStart=pybridge serv chat:chat\n[Install]\n"),
        ("nginx", "location / {\n    proxy_pass http://app\n}\n"),
        ("nginx", "location / {\n"),
        ("rust", "Engine::imported()"),
        ("sh", "if true\n"),
        ("toml", '[dependencies]\npybridge-http = { version = "0.1", features = ["axom"] }'),
        ("yaml", "spec: {containers: [{args: [pybridge, serve, 'a:b', --drain]}]}"),
    ],
)
def test_what_is_wrong_in_a_block_is_found(language: str, wrong: str) -> None:
    with pytest.raises(AssertionError):
        PARSERS[language](wrong)


@pytest.mark.parametrize("text", ["from pybridge import Engine\n", "print(engine)\n", "async def f():\n    return g\n"])
def test_a_name_that_nothing_defines_is_found(text: str) -> None:
    with pytest.raises(AssertionError):
        check_python(text, set())


@pytest.mark.parametrize("line", ["$ pybridge bench --lane pooled", "$ make tests", "$ cd example", "$ frobnicate"])
def test_a_command_that_does_not_exist_is_found(line: str) -> None:
    with pytest.raises(AssertionError):
        check_command(commands(line)[0])


def sessions(document: str, folder: Path) -> Iterator[tuple[str, str]]:
    """Writes the files of a page as they come; gives its commands, each with what it prints."""
    for block in BLOCKS:
        if block.document != document:
            continue
        if block.language == "python":
            name = re.match(r"# (\w+\.py)\n", block.text)
            assert name, f"{block}: a file without its name"
            (folder / name[1]).write_text(block.text)
        elif block.language == "console":
            yield from re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block.text, re.MULTILINE)


def start(command: str, folder: Path) -> Server:
    program, *arguments = command.split()
    front = Front(program, (program, *arguments, "--port", "{port}"), kind="serve")
    return Server.start(front, folder, cwd=folder)


def printed(command: str, folder: Path, port: int) -> str:
    """What a command of the page prints, sent to our server."""
    if command.startswith("curl "):
        skips.without_curl()
    environment = {**os.environ, "NO_PROXY": "*", "no_proxy": "*"}
    quiet = at(port, command).replace("curl ", "curl -sS ", 1).replace("python ", f"{sys.executable} ", 1)
    return subprocess.run(
        quiet, shell=True, capture_output=True, text=True, cwd=folder, env=environment, check=False, timeout=30
    ).stdout


@pytest.mark.parametrize("document", RUN_HERE)
def test_files_and_commands_of_a_page_do_what_it_says(document: str, tmp_path: Path) -> None:
    server: Server | None = None
    asked = 0
    try:
        for command, output in sessions(document, tmp_path):
            if re.match(r"(pybridge serve|uvicorn) ", command):
                if server:
                    server.stop()
                server = start(command, tmp_path)
            elif re.match(r"(curl|python) ", command):
                port = server.port if server else 0
                assert printed(command, tmp_path, port).rstrip("\n") == output.rstrip("\n"), command
                asked += 1
    finally:
        if server:
            server.stop()
    assert asked


def test_a_client_that_leaves_is_no_business_of_the_handler_that_migrating_shows(tmp_path: Path) -> None:
    *_, (command, _) = [each for each in sessions("docs/migrating.md", tmp_path) if each[0].startswith("uvicorn ")]
    server = start(command, tmp_path)
    try:
        url = f"http://127.0.0.1:{server.port}/ticks"
        with httpx.stream("POST", url, json={}, timeout=20, trust_env=False) as answer:
            assert next(answer.iter_lines()) == 'data: "tick"'
            assert "cleaned up" not in server.log.read_text()
        wait_until(lambda: "cleaned up" in server.log.read_text(), server.log.read_text)
    finally:
        server.stop()


def test_paths_that_the_architecture_names_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    named = set(re.findall(r"`([\w./-]+(?:\.rs|\.py|/))`", text))
    assert len(named) > 60
    folders = (ROOT, ROOT / "rust" / "bridge" / "src", ROOT / "rust" / "codec" / "src")
    assert {name for name in named if not any((folder / name).exists() for folder in folders)} == set()


def test_the_table_of_who_gains_is_the_readmes() -> None:
    """But for its links, which lead elsewhere from there."""

    def rows(path: Path) -> list[str]:
        table = re.search(r"\| you have \|.*?\n\n", path.read_text(), re.DOTALL)
        assert table
        without = re.sub(r" \((?:\[[^\]]*\]\[?[^)]*|\[.*?\](?:\[.*?\])?, `[^`]*`)\)", "", table[0])
        return without.splitlines()

    assert rows(ROOT / "docs" / "index.md") == rows(ROOT / "README.md")


@pytest.mark.parametrize(("picture", "figures"), [("memory", "soak"), ("cost", "streams")])
def test_a_picture_is_drawn_from_the_committed_figures(picture: str, figures: str) -> None:
    """`python -m bench.pictures` draws it again."""
    digest = hashlib.sha256((ROOT / "bench" / "results" / f"{figures}.json").read_bytes()).hexdigest()
    assert digest in (ROOT / "docs" / "assets" / f"{picture}.svg").read_text()


def test_every_document_is_in_the_navigation_of_the_site_once() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text().split("\nnav:\n")[1].split("\n\n")[0]
    listed = re.findall(r"[\w/.-]+\.md", navigation)
    documents = {path.relative_to(ROOT / "docs").as_posix() for path in ROOT.glob("docs/**/*.md")} - {"README.md"}
    results = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("bench/results/*.md")}
    assert documents | results <= {*listed}
    assert len(listed) == len({*listed})
