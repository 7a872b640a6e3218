"""Modules in other folders, variables in files, and reloads while a handler is being written."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from support import serving
from support.serving import Program, Starter
from support.waiting import wait_until

ALONE = ("--port", "0", "--drain-timeout", "0", "--flow-cancel-grace", "0.01")
TELLING = """
    import os

    async def tell(request):
        yield [{number}, os.environ.get("COLOUR"), os.environ.get("SIZE")]
"""


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A folder beside that in which servers are started, with a module `telling`, and one `app` of its own."""
    (folder := tmp_path / "other").mkdir()
    serving.write(folder, "telling.py", TELLING.format(number=1))
    serving.write(folder, "app.py", TELLING.format(number=2))
    return folder


def told(program: Program) -> list[object]:
    return list(program.post({}, headers={"Accept": "application/json"}).json()[0])


@pytest.mark.parametrize("workers", [(), ("--workers", "1")], ids=["alone", "workers"])
def test_modules_of_the_folder_are_found_before_those_of_the_working_directory(
    serve: Starter, other: Path, workers: tuple[str, ...]
) -> None:
    program = serve("app:tell", *ALONE, *workers, "--app-dir", "other")
    assert told(program)[0] == 2
    program.signal().ended(0)


def test_variables_of_a_file_are_set_unless_they_are_already_and_read_anew_with_a_new_process(
    serve: Starter, other: Path, folder: Path
) -> None:
    file = serving.write(folder, "variables", "COLOUR=red\nSIZE='1 m'\nKEY=secret\n")
    options = ("--app-dir", "other", "--env-file", "variables", "--api-key-env", "KEY", "--workers", "1")
    program = serve("telling:tell", *ALONE, *options, environment={"SIZE": "2 m"})
    key = {"X-API-Key": "secret", "Accept": "application/json"}
    assert program.post({}, headers=key).json() == [[1, "red", "2 m"]]
    file.write_text("COLOUR=blue\nKEY=secret\n")
    program.signal(signal.SIGHUP).said("all processes have been replaced")
    assert program.post({}, headers=key).json() == [[1, "blue", "2 m"]]
    file.unlink()
    program.signal(signal.SIGHUP).said("--env-file: variables: No such file or directory")
    assert program.post({}, headers=key).json() == [[1, "blue", "2 m"]]
    program.signal().ended(0)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--app-dir", "nowhere"], "--app-dir: nowhere is no folder"),
        (["--env-file", "nowhere"], "--env-file: nowhere: No such file or directory"),
        (["--env-file", "bad"], "--env-file: bad:2: not of the form NAME=value"),
        (["--env-file", "binary"], "--env-file: binary: no text that variables can have"),
        (["--reload", "--workers", "2"], "--reload and --workers exclude each other: it replaces one process"),
        (["--reload", "--fd", "3"], "--reload and --fd exclude each other"),
        (["--reload", "--reload-dir", "nowhere"], "--reload-dir: nowhere is no folder"),
        (["--reload-dir", "."], "--reload is needed with --reload-dir"),
    ],
)
def test_what_cannot_be_is_told(serve: Starter, folder: Path, arguments: list[str], reason: str) -> None:
    (folder / "bad").write_text("A=1\nno variable\nB=2\n")
    (folder / "binary").write_bytes(b"A=\xff\n")
    assert serve("app:echo", *arguments).ended(2).log == f"pybridge: {reason}\n"


WITHOUT = """
import sys
sys.modules.update(watchfiles=None, dotenv=None)
from pybridge.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--reload"], "--reload needs watchfiles: pip install 'pybridge-engine[reload]'"),
        (["--env-file", "app.py"], "--env-file needs python-dotenv: pip install 'pybridge-engine[dotenv]'"),
    ],
)
def test_without_what_an_option_needs_it_is_told_how_to_get_that(
    run: Starter, arguments: list[str], reason: str
) -> None:
    program = run("-c", WITHOUT, "serve", "app:echo", "--port", "0", *arguments).ended(2)
    assert program.log == f"pybridge: {reason}\n"


def test_a_changed_file_replaces_the_process_and_one_that_cannot_be_imported_does_not(
    serve: Starter, other: Path
) -> None:
    program = serve("telling:tell", *ALONE, "--app-dir", "other", "--reload")
    assert told(program)[0] == 1
    file = other / "telling.py"
    file.write_text("1 +\n")
    program.said("the processes that run are not replaced")
    assert told(program)[0] == 1
    serving.write(other, "telling.py", TELLING.format(number=300))
    wait_until(lambda: told(program)[0] == 300, lambda: program.log)
    assert re.search(rf"^pybridge: changed: other/{file.name}$", program.log, re.MULTILINE), program.log
    program.signal().ended(0)
