"""Blocks of code in documents, and what can be said of each without running it."""

from __future__ import annotations

import argparse
import ast
import builtins
import configparser
import contextlib
import importlib
import io
import json
import re
import shlex
import subprocess
import symtable
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from pybridge import cli

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
COMPILED = [
    ROOT / "rust/bridge/README.md",
    ROOT / "rust/codec/README.md",
    ROOT / "rust/bridge/src/front_page.md",
    ROOT / "rust/http/README.md",
    ROOT / "rust/extension/src/naive.rs",
    ROOT / "examples/rust_host/src/main.rs",
    ROOT / "examples/rust_host/build.rs",
    ROOT / "examples/axum_gateway/src/main.rs",
]
"""Sources in Rust that other tests compile, documents whose blocks are doctests among them."""


@dataclass(frozen=True)
class Block:
    """A block of code in a document of the repository."""

    document: str
    language: str
    text: str
    line: int

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


def blocks() -> list[Block]:
    """Every block of the README, the documents about the project and the pages."""
    found: list[Block] = []
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]):
        text, name = path.read_text(), path.relative_to(ROOT).as_posix()
        matches = re.finditer(r"^ *```(\S*)\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
        found += [Block(name, each[1], each[2], text[: each.start()].count("\n") + 1) for each in matches]
    return found


def check_python(text: str, known: set[str]) -> None:
    """Compiles it, imports what it imports of the package, and looks up each name that it reads.

    Names that it defines are added to `known`.
    """
    tree = compile(text, "document", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "pybridge":
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                assert hasattr(module, alias.name), f"{node.module} has no {alias.name}"
    function = "async def block():\n" + "".join(f"    {line}\n" for line in text.splitlines())
    tables = symtable.symtable(function, "document", "exec").get_children()
    table = next(table for table in tables if table.get_name() == "block")
    missing = set(_unknown(table, known | vars(builtins).keys() | {"__name__"}))
    assert not missing, f"names that nothing defines: {missing}"
    known.update(symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported())


def _unknown(table: symtable.SymbolTable, known: set[str]) -> Iterator[str]:
    for symbol in table.get_symbols():
        if symbol.is_referenced() and symbol.is_global() and symbol.get_name() not in known:
            yield symbol.get_name()
    for child in table.get_children():
        yield from _unknown(child, known)


def commands(text: str) -> list[list[str]]:
    """The words of each command of a session; what `|`, `&&` and `||` join is one after the other."""
    found = []
    for line in re.findall(r"^\$ (.*)$", text, re.MULTILINE):
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in lexer:
            if word in {"|", "&&", "||"}:
                found.append(words)
                words = []
            else:
                words.append(word)
        found.append(words)
    return [_without_variables(words) for words in found]


def _without_variables(words: list[str]) -> list[str]:
    while words and re.match(r"[A-Z_]+=", words[0]):
        words = words[1:]
    return words


def check_command(words: list[str]) -> None:
    """Looks at a command: is there such a program, subcommand, option, target or folder."""
    name = Path(words[0]).name
    assert name in PROGRAMS, f"no document uses {name} so far: say how it is checked"
    PROGRAMS[name](words[1:])


def _pybridge(words: list[str]) -> None:
    parser, subcommands = cli._parsers()  # the command line itself, without running it
    for command in subcommands.values():
        command.allow_abbrev = False  # what a document names is there under its whole name
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            parser.parse_args(words)
    except SystemExit as end:
        assert end.code == 0, said.getvalue()
    except argparse.ArgumentError as error:
        raise AssertionError(error) from error


def _make(words: list[str]) -> None:
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    assert {word for word in words if "=" not in word} <= targets


def _pip(words: list[str]) -> None:
    assert words[0] == "install"
    assert not any(re.match(r"pybridge(?!-engine)", word) for word in words)


def _folder(words: list[str]) -> None:
    assert (ROOT / words[0]).is_dir()


def _python(words: list[str]) -> None:
    if words[0] == "-m":
        assert (ROOT / f"{words[1].replace('.', '/')}.py").exists(), words[1]


def _curl(words: list[str]) -> None:
    options = {word for word in words if re.match(r"-", word)}
    assert options <= {"-N", "-H", "-d", "-o", "-w", "--data-binary", "--json"}, options


def _cargo(words: list[str]) -> None:
    assert words[0] in {"run", "doc"}


def _anything(words: list[str]) -> None:
    """Programs of others, which the tests that run a page's commands call."""


PROGRAMS: dict[str, Callable[[list[str]], None]] = {
    "cargo": _cargo,
    "cd": _folder,
    "curl": _curl,
    "echo": _anything,
    "gh": _anything,
    "granian": _anything,
    "grep": _anything,
    "hypercorn": _anything,
    "make": _make,
    "pip": _pip,
    "pybridge": _pybridge,
    "python": _python,
    "serve": _anything,
    "uvicorn": _anything,
}


def check_rust(text: str) -> None:
    """Looks for it, but for comments and indents, among what is compiled."""
    assert any(_bare(text) in _bare(path.read_text()) for path in COMPILED), "nothing that is compiled has these lines"


def _bare(text: str) -> str:
    lines = (re.sub(r"(^|\s)//.*$", "", line).removeprefix("# ").strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def check_ini(text: str) -> None:
    """Reads a unit of systemd."""
    parser = configparser.ConfigParser(strict=True, interpolation=None)
    parser.read_string(text)
    assert set(parser.sections()) == {"Unit", "Service", "Install"}
    words = shlex.split(parser["Service"]["ExecStart"])
    check_command(words)


def check_conf(text: str) -> None:
    """Reads a part of a unit of systemd, in which a name may come several times."""
    for line in text.splitlines():
        assert re.fullmatch(r"\[[A-Z]\w+\]|[A-Z]\w+=.+", line), line


def check_sh(text: str) -> None:
    """Has the shell read it, which runs nothing of it."""
    done = subprocess.run(["sh", "-n"], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def check_nginx(text: str) -> None:
    """Reads blocks and directives: each ends with a semicolon, each block is closed."""
    depth = 0
    for line in map(str.strip, re.sub(r"\s*#.*$", "", text, flags=re.MULTILINE).splitlines()):
        assert not line or re.fullmatch(r"[a-z_]+ [^;{}]+[;{]|\}", line), line
        depth += line.count("{") - line.count("}")
        assert depth >= 0
    assert depth == 0


INSTRUCTIONS = {"FROM", "COPY", "RUN", "WORKDIR", "USER", "EXPOSE", "CMD", "ENV", "ENTRYPOINT"}


def check_dockerfile(text: str) -> None:
    """Reads instructions; the command is a list, and one of ours."""
    steps = [line.split(maxsplit=1) for line in text.splitlines() if line]
    assert {step[0] for step in steps} <= INSTRUCTIONS
    assert steps[0][0] == "FROM"
    check_command(json.loads(steps[-1][1]))


def check_yaml(text: str) -> None:
    """Reads it; commands of ours in it can be parsed."""
    document = yaml.safe_load(text)
    if "scrape_configs" in document:  # of Prometheus
        return
    for container in document["spec"]["containers"]:
        check_command(container["args"])


def check_toml(text: str) -> None:
    """Reads a manifest; each dependency of ours has the version of the workspace, and features that exist."""
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    for name, asked in tomllib.loads(text).get("dependencies", {}).items():
        manifest = next(
            (path for path in ROOT.glob("rust/*/Cargo.toml") if f'name = "{name}"' in path.read_text()), None
        )
        if manifest:
            wanted = asked if isinstance(asked, dict) else {"version": asked}
            assert version.startswith(wanted["version"])
            assert set(wanted.get("features", ())) <= tomllib.loads(manifest.read_text())["features"].keys()


PARSERS: dict[str, Callable[[str], None]] = {
    "conf": check_conf,
    "dockerfile": check_dockerfile,
    "ini": check_ini,
    "nginx": check_nginx,
    "rust": check_rust,
    "sh": check_sh,
    "toml": check_toml,
    "yaml": check_yaml,
}
"""How a block is looked at that is neither Python nor a session."""
