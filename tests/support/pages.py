"""Files and commands of a page of the documentation, to be tried as they stand."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import dropwhile
from pathlib import Path

from support import skips


@dataclass
class Section:
    """A file of the page that is served, how it is started, and what is asked then with what output."""

    name: str
    text: str
    started: list[list[str]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    client: str | None = None
    test: str | None = None


def sections(page: str) -> Iterator[Section]:
    """The files of the page, each with the commands that follow it."""
    section: Section | None = None
    for language, text in re.findall(r"^```(python|console)\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
        if language == "python":
            name = re.match(r"# (\w+)\.py\n", text)
            assert name, f"a block without the name of its file: {text}"
            if section and name[1] == "client":
                section.client = text
                continue
            if section and name[1] == f"test_{section.name}":
                section.test = text
                continue
            if section:
                yield section
            section = Section(name[1], text)
        elif section:
            for command, output in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
                if command.startswith("curl "):
                    section.asked.append((command, output))
                elif f"{section.name}:" in command:
                    words = command.split()
                    section.started.append(list(dropwhile(lambda word: "=" in word, words)))
    if section:
        yield section


def at(port: int, text: str) -> str:
    """The same for a server on this port."""
    return text.replace("127.0.0.1:8000", f"127.0.0.1:{port}")


def shell(port: int, command: str, cwd: Path | None = None) -> str:
    """What a command prints that succeeds, sent to the server on this port."""
    if command.startswith("curl "):
        skips.without_curl()
    environment = {**os.environ, "NO_PROXY": "*", "no_proxy": "*"}
    quiet = at(port, command).replace("curl ", "curl -sS ", 1)
    done = subprocess.run(quiet, shell=True, capture_output=True, text=True, cwd=cwd, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, ""), command
    return done.stdout
