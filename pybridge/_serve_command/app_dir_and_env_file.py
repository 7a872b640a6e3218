"""The surroundings of a module: the folder in which it is looked for, and environment variables."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

from pybridge._serve_command.start_errors import StartError, needed_by


def find_modules_in(folder: str | None) -> Path:
    """Has modules of this folder found before all others; None: those of the working directory. Gives the folder.

    Raises:
        StartError: It is no folder.
    """
    path = folder_of("--app-dir", folder or ".")
    here = str(path)
    if folder is not None or here not in sys.path:
        sys.path.insert(0, here)
    return path


def folder_of(option: str, path: str) -> Path:
    """The folder that an option names.

    Raises:
        StartError: It is none.
    """
    if not Path(path).is_dir():
        raise StartError(f"{option}: {path} is no folder")
    return Path(path).absolute()


def read_variables(file: str) -> set[str]:
    """Sets the environment variables of a file, but for those that are set already; gives their names.

    Raises:
        StartError: It cannot be read, a line sets no variable, or python-dotenv is not installed.
    """
    dotenv, parser = needed_by("--env-file", "dotenv"), needed_by("--env-file", "dotenv.parser")
    try:
        with open(file, encoding="utf-8") as lines:  # noqa: PTH123 - a path as it was given, for the message
            text = lines.read()
        for binding in parser.parse_stream(io.StringIO(text)):
            if binding.error:
                raise StartError(f"--env-file: {file}:{binding.original.line}: not of the form NAME=value")
        values = dotenv.dotenv_values(stream=io.StringIO(text))
        new = {name: value for name, value in values.items() if value is not None and name not in os.environ}
        os.environ.update(new)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no text that variables can have"
        raise StartError(f"--env-file: {file}: {reason}") from None
    return {*new}
