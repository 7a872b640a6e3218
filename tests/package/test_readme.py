from __future__ import annotations

import argparse
import ast
import json
import math
import re
import shlex
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import pybridge
from pybridge.bench import cli as bench
from pybridge.bench.names import DESCRIPTIONS

from support import skips
from support.processes import PythonRunner

README = Path(__file__).parents[2] / "README.md"


SERVERS = {
    "pybridge serve app:engine": ["pybridge", "serve", "app:engine"],
    "uvicorn app:app": ["uvicorn", "app:app"],
}


@pytest.mark.parametrize("server", SERVERS)
def test_first_example_is_a_server_that_answers_as_it_says(server: str, tmp_path: Path) -> None:
    skips.without_curl()
    assert f"`{server}`" in README.read_text() or f"$ {server}\n" in README.read_text()
    code = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    session = re.search(r"\$ pybridge serve app:engine\n\$ (curl .*?)\n(.*?)```", README.read_text(), re.DOTALL)
    assert code
    assert session
    (tmp_path / "app.py").write_text(code[1])
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        where = ["--fd", str(listener.fileno()), "--log-level", "warning"]
        command = [sys.executable, "-m", *SERVERS[server], *where]
        process = subprocess.Popen(command, cwd=tmp_path, pass_fds=[listener.fileno()])
        try:
            client = session[1].replace("localhost:8000", f"127.0.0.1:{listener.getsockname()[1]}")
            answer = subprocess.run(shlex.split(client), check=True, capture_output=True, timeout=30).stdout
        finally:
            process.terminate()
            process.wait(30)
    assert answer.decode().strip() == session[2].strip()


def section(text: str, title: str) -> str:
    return text.split(f"\n## {title}\n")[1].split("\n## ", maxsplit=1)[0]


def test_first_paragraph_tells_for_whom_it_is_and_a_section_who_gains() -> None:
    first = README.read_text().split("\n\n")[1]
    assert "FastAPI" in first
    assert "Rust" in first.split("FastAPI")[1]
    table = section(README.read_text(), "Should I use this?")
    assert "**you gain**" in table
    assert "**you pay**" in table


def test_the_ratio_that_travels_is_the_measured_one() -> None:
    """The range in words is that of the project's own figures, to a tenth."""
    text = " ".join(section(README.read_text(), "Should I use this?").split())
    low, high = map(float, re.findall(r"an item costs (\d\.\d) to (\d\.\d) times the CPU", text)[0])
    cases = json.loads((README.parent / "bench" / "results" / "streams.json").read_text())["cases"]
    targets = [target for case in cases for target in case["targets"]]
    measured = [target["value"] for target in targets if target["name"] == "CPU per item, pooled / python"]
    assert len(measured) >= 5
    assert low == math.floor(10 * min(measured)) / 10
    assert high == math.ceil(10 * max(measured)) / 10


def test_least_versions_are_those_of_the_manifests() -> None:
    root = README.parent
    rust = tomllib.loads((root / "Cargo.toml").read_text())["workspace"]["package"]["rust-version"]
    python = tomllib.loads((root / "pyproject.toml").read_text())["project"]["requires-python"]
    install = section(README.read_text(), "Install")
    assert f"Rust {rust} or newer" in install
    assert f"CPython {python.removeprefix('>=')} or newer" in install


@pytest.mark.parametrize("name", ["README.md", "docs/benchmarks.md"])
def test_options_and_lanes_of_the_benchmark_that_documents_name_exist(name: str) -> None:
    parser = argparse.ArgumentParser()
    bench.add_arguments(parser)
    known = set(re.findall(r"--[a-z-]+", parser.format_help()))
    text = (README.parent / name).read_text()
    commands = re.findall(r"^\$ pybridge bench.*|`pybridge bench[^`]*`|`--[^`]*`", text, re.MULTILINE)
    named = {option for command in commands for option in re.findall(r"--[a-z-]+", command)}
    assert named - {"--only", "--protocol", "--timeout-graceful-shutdown"} <= known
    lanes = {
        lane
        for command in commands
        for found in re.findall(r"--lanes (\S+?)[`\s]", command)
        for lane in found.split(",")
    }
    assert lanes <= set(DESCRIPTIONS)


def test_public_names_that_the_readme_uses_exist() -> None:
    text = README.read_text()
    for name in re.findall(r"pybridge\.(\w+)", text):
        assert hasattr(pybridge, name) or name == "demo", name
    for name in re.findall(r"\b(?:engine|raw)\.(\w+)\(", text):
        assert hasattr(pybridge.PooledEngine, name) or name == "generate", name
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        compile(block, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("document", ["pool", "memory", "tuning"])
def test_samples_of_documents_run_as_they_stand(run_python: PythonRunner, document: str) -> None:
    text = (README.parent / "docs" / f"{document}.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    run_python("\n".join(blocks))


def test_make_targets_that_documents_name_exist() -> None:
    root = README.parent
    targets = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(), re.MULTILINE))
    named = {
        target
        for document in (README, root / "CONTRIBUTING.md", *root.glob("docs/**/*.md"))
        for target in re.findall(r"(?:`|\$ )make ([a-z-]+)", document.read_text())
    }
    assert {"bench", "test"} <= named <= targets


DOCUMENTS = sorted([README, *README.parent.glob("*.md"), *README.parent.glob("docs/**/*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(README.parent)))
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text()):
        assert target.startswith("https://") or (document.parent / target).exists(), target


def test_every_document_is_in_the_index() -> None:
    docs = README.parent / "docs"
    listed = set(re.findall(r"\]\(([^)#]+)\)", (docs / "README.md").read_text()))
    folders = {path.parent.name for path in docs.glob("*/*.md")}
    found = {path.name for path in docs.glob("*.md")} - {"README.md"}
    assert found <= listed
    assert all(any(link.startswith(folder) for link in listed) for folder in folders)


def test_documents_name_the_distribution_when_they_install_it() -> None:
    for document in DOCUMENTS:
        assert not re.search(r"pip install '?pybridge(?!-engine)", document.read_text()), document


def test_every_source_file_has_an_owner() -> None:
    root = README.parent
    table = (root / "CONTRIBUTING.md").read_text().split("\n| area | ")[1].split("\n\n")[0]
    owned = set(re.findall(r"`([\w/.]+)`", table))
    sources = [*root.glob("pybridge/**/*.py"), *root.glob("rust/*/src/**/*.rs"), *root.glob("examples/**/*.py")]
    for path in sources:
        name = path.relative_to(root).as_posix()
        assert name in owned or any(folder.endswith("/") and name.startswith(folder) for folder in owned), name
