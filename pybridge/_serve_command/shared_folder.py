"""The folder in which the processes of one supervisor find each other, and those that others have left."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = "pybridge-workers-"
"""What the names of these folders begin with, among the system's temporary files."""

MARK = "of-pybridge-serve"
"""An empty file that only these folders have."""

OURS = re.compile(rf"{MARK}|ended|lock|\d+-\d+\.(sock|page|new)")
"""What is in them."""


@contextlib.contextmanager
def shared_folder() -> Iterator[tuple[Path, int]]:
    """Makes a folder, and removes those whose processes have all ended; gives its path and a descriptor of it.

    The folder is in use as long as a process has the descriptor, by which it is locked.
    """
    _remove_abandoned()
    path, descriptor = _made()
    try:
        yield path, descriptor
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(descriptor)


def short_path(path: Path, descriptor: int) -> Path:
    """Where this process finds the folder by a path that sockets can have, however long its own is."""
    short = Path(f"/proc/self/fd/{descriptor}")
    return short if short.exists() else path


def _made() -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=PREFIX))
        with contextlib.suppress(FileNotFoundError):
            descriptor = _opened(path)
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            if _is(path, descriptor):
                (path / MARK).touch()
                return path, descriptor
            os.close(descriptor)  # another process took it for an abandoned one before it was locked


def _remove_abandoned() -> None:
    """Removes the folders of this user that no process has locked."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            descriptor = _opened(path)
            try:
                if os.fstat(descriptor).st_uid == os.geteuid() and _is_ours(path):
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if _is(path, descriptor):
                        shutil.rmtree(path)
            finally:
                os.close(descriptor)


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _is(path: Path, descriptor: int) -> bool:
    """Whether the folder at this path is the one that was opened."""
    return os.path.samestat(path.lstat(), os.fstat(descriptor))


def _is_ours(path: Path) -> bool:
    """False of a folder that no server has made, or that others have put something into."""
    names = [entry.name for entry in path.iterdir()]
    return MARK in names and all(map(OURS.fullmatch, names))


def leave_folder(path: Path) -> None:
    """Removes the folder if no other process has a socket in it; for one whose supervisor has gone."""
    with contextlib.suppress(OSError):
        if not any(entry.is_socket() for entry in path.iterdir()):
            shutil.rmtree(path)
