"""The checks of `release/check.py`: what must agree before anything is published."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = [
    "Cargo.lock",
    "bench/http/Cargo.lock",
    "examples/axum_gateway/Cargo.lock",
    "examples/rust_host/Cargo.lock",
    "rust/codec/fuzz/Cargo.lock",
    "rust/pool/fuzz/Cargo.lock",
]
VERSION = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what the checks read, with a changelog that is ready for the version."""
    for name in ["Cargo.toml", "pyproject.toml", "release/check.py", *LOCKS]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    ready = f"## {VERSION} - 2026-11-29\n\n### Added\n\n- Streams.\n\n"
    text = f"# Changelog\n\n## Unreleased\n\n{ready}## 0.0.1 - 2025-01-01\n\n- Old.\n"
    (tmp_path / "CHANGELOG.md").write_text(text)
    return tmp_path


def check(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [sys.executable, "-I", tree / "release" / "check.py", *arguments]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_tag_that_equals_the_version_passes(tree: Path) -> None:
    done = check(tree, "tag", f"v{VERSION}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("tag", [VERSION, f"V{VERSION}", f"v{VERSION}.0", f"v{VERSION}-rc.1", "v999.0.0", "v", ""])
def test_any_other_tag_is_refused_with_the_right_one(tree: Path, tag: str) -> None:
    done = check(tree, "tag", tag)
    assert done.returncode == 1
    assert done.stderr == f"tag {tag}: the version in Cargo.toml is {VERSION}, so the tag must be v{VERSION}\n"


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_file_of_another_version_is_named(tree: Path, lock: str) -> None:
    replace(tree / lock, f'name = "pybridge-pool"\nversion = "{VERSION}"', 'name = "pybridge-pool"\nversion = "0.0.9"')
    done = check(tree, "tag", f"v{VERSION}")
    assert done.returncode == 1
    assert f"{lock}: pybridge-pool is 0.0.9 there" in done.stderr


@pytest.mark.parametrize("heading", [VERSION, f"{VERSION} - soon", f"[{VERSION}] - 2026-11-29", "9.9.9 - 2026-11-29"])
def test_changelog_without_the_version_and_its_day_is_refused(tree: Path, heading: str) -> None:
    replace(tree / "CHANGELOG.md", f"## {VERSION} - 2026-11-29", f"## {heading}")
    assert f"no heading `## {VERSION} - YYYY-MM-DD`" in check(tree, "tag", f"v{VERSION}").stderr


def test_changelog_with_nothing_to_say_is_refused(tree: Path) -> None:
    replace(tree / "CHANGELOG.md", "\n### Added\n\n- Streams.\n", "")
    assert "nothing below" in check(tree, "tag", f"v{VERSION}").stderr


def test_all_that_stands_in_the_way_is_said_at_once(tree: Path) -> None:
    (tree / "CHANGELOG.md").write_text("# Changelog\n")
    assert len(check(tree, "tag", "v9").stderr.splitlines()) == 2


def test_notes_are_the_section_of_the_version_alone(tree: Path) -> None:
    assert check(tree, "notes", f"v{VERSION}").stdout == "### Added\n\n- Streams.\n"


@pytest.mark.parametrize(
    ("version", "spelled"), [("1.2.3-rc.1", "1.2.3rc1"), ("1.2.3-alpha.2", "1.2.3a2"), ("1.2.3-beta.10", "1.2.3b10")]
)
def test_versions_before_a_release_are_spelled_as_file_names_have_them(tree: Path, version: str, spelled: str) -> None:
    replace(tree / "Cargo.toml", f'version = "{VERSION}"\nedition', f'version = "{version}"\nedition')
    (tree / "dist").mkdir()
    assert f"missing: pybridge_engine-{spelled}.tar.gz" in check(tree, "files", "dist").stderr


def test_version_that_the_index_would_not_take_is_refused(tree: Path) -> None:
    replace(tree / "Cargo.toml", f'version = "{VERSION}"\nedition', 'version = "1.2.3-nightly"\nedition')
    assert "write X.Y.Z" in check(tree, "tag", "v1.2.3-nightly").stderr


def test_release_is_whole_with_every_wheel_and_nothing_else(tree: Path) -> None:
    dist = tree / "dist"
    dist.mkdir()
    missing = check(tree, "files", "dist").stderr.splitlines()
    assert len(missing) == 1 + 5 * 4
    assert f"missing: pybridge_engine-{VERSION}-cp313-cp313-musllinux_1_2_aarch64.whl" in missing
    for line in missing:
        (dist / line.removeprefix("missing: ")).touch()
    assert check(tree, "files", "dist").returncode == 0
    (dist / f"pybridge_engine-{VERSION}-cp313-cp313-linux_x86_64.whl").touch()
    found = check(tree, "files", "dist")
    assert found.returncode == 1
    assert found.stderr == f"not of this release: pybridge_engine-{VERSION}-cp313-cp313-linux_x86_64.whl\n"


def test_crates_that_depend_on_each_other_name_the_version_that_they_share() -> None:
    workspace = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]
    ours = {name: entry["version"] for name, entry in workspace["dependencies"].items() if name.startswith("pybridge")}
    crates = ("base", "codec", "http", "macros", "pool")
    assert set(ours) == {"pybridge", *(f"pybridge-{crate}" for crate in crates)}
    assert set(ours.values()) == {f"={VERSION}"}


def test_tools_that_build_a_release_are_pinned_by_hash() -> None:
    text = (ROOT / "release" / "requirements.txt").read_text()
    pinned = dict(re.findall(r"^([\w-]+)==(\S+) \\$", text, re.MULTILINE))
    assert set(pinned) == {"maturin", "ziglang"}
    for block in re.split(r"^(?=[\w-]+==)", text, flags=re.MULTILINE)[1:]:
        assert block.count("--hash=sha256:") > 1
    assert "--require-hashes" in (ROOT / "Makefile").read_text()
