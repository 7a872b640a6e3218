"""Versions that the pool's safety depends on."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = sorted(path for path in ROOT.glob("**/Cargo.lock") if "target" not in path.parts and ".venv" not in path.parts)


def versions(lock: Path, name: str) -> list[tuple[int, ...]]:
    packages = tomllib.loads(lock.read_text())["package"]
    return [tuple(map(int, package["version"].split("."))) for package in packages if package["name"] == name]


@pytest.mark.guarantee("L-12")
@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_lock_file_has_a_bytes_whose_reserve_overflows(lock: Path) -> None:
    """RUSTSEC-2026-0007 is fixed in bytes 1.11.1."""
    found = versions(lock, "bytes")
    assert found
    assert min(found) >= (1, 11, 1)


@pytest.mark.guarantee("L-12")
def test_the_workspace_asks_for_no_older_bytes() -> None:
    """The requirement, not only the lock file, excludes the versions with the flaw."""
    manifest = tomllib.loads((ROOT / "Cargo.toml").read_text())
    asked = manifest["workspace"]["dependencies"]["bytes"]
    assert tuple(map(int, asked.split("."))) >= (1, 11, 1)
