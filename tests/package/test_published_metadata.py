"""Metadata and links for people who have the package but not the repository."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CARGO = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]
REPOSITORY = CARGO["repository"]


def without_code(text: str) -> str:
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)


def links(text: str) -> list[str]:
    """Where its links lead, inline and by reference; images too."""
    prose = without_code(text)
    return re.findall(r"\]\(\s*<?([^)\s>]+)", prose) + re.findall(r"^\[[^\]]+\]:\s*(\S+)", prose, re.MULTILINE)


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_readme_is_what_is_published_and_has_no_relative_link() -> None:
    assert PROJECT["readme"] == "README.md"
    found = links(README)
    assert len(found) > 10
    assert [link for link in found if not link.startswith("https://")] == []
    assert not re.search(r"(?:href|src)=", without_code(README))


def test_every_reference_of_the_readme_has_its_link_and_every_link_its_reference() -> None:
    prose = without_code(README)
    defined = set(re.findall(r"^\[([^\]]+)\]:", prose, re.MULTILINE))
    body = re.sub(r"^\[[^\]]+\]:.*$", "", prose, flags=re.MULTILINE)
    used = {label or text for text, label in re.findall(r"\[([^\[\]]+)\](?:\[([^\[\]]*)\])?(?!\()", body)}
    assert used == defined


@pytest.mark.parametrize("link", [link for link in links(README) if link.startswith(REPOSITORY)])
def test_links_of_the_readme_into_the_repository_lead_to_a_file_and_a_heading(link: str) -> None:
    target, _, anchor = link.removeprefix(REPOSITORY).partition("#")
    path = ROOT / target.removeprefix("/blob/main/") if target else ROOT / "README.md"
    assert path.is_file()
    if anchor:
        assert anchor in {slug(heading) for heading in re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)}


def test_installed_metadata_has_the_readme_author_and_links() -> None:
    metadata = importlib.metadata.metadata("pybridge-engine")
    assert metadata["Author"] == "The pybridge authors"
    assert metadata["License-Expression"] == CARGO["license"]
    urls = dict(line.split(", ", maxsplit=1) for line in metadata.get_all("Project-URL", []))
    assert urls == PROJECT["urls"]
    assert set(urls) == {"Documentation", "Repository", "Issues", "Changelog"}
    assert all(url.startswith(REPOSITORY) for url in urls.values())


@pytest.mark.parametrize("name", ["Documentation", "Changelog"])
def test_documentation_and_changelog_are_files_of_the_repository(name: str) -> None:
    assert (ROOT / PROJECT["urls"][name].removeprefix(f"{REPOSITORY}/blob/main/")).is_file()


def test_crates_share_the_metadata_of_the_workspace() -> None:
    assert CARGO["authors"] == [author["name"] for author in PROJECT["authors"]]
    assert CARGO["documentation"] == PROJECT["urls"]["Documentation"]
    for manifest in ROOT.glob("rust/*/Cargo.toml"):
        package = tomllib.loads(manifest.read_text())["package"]
        for key in ("version", "license", "authors", "repository", "homepage", "rust-version"):
            assert package[key] == {"workspace": True}, f"{manifest}: {key}"


@pytest.mark.parametrize("crate", ["pool", "macros", "bridge", "http"])
def test_a_published_crate_is_found_read_and_licensed_from_its_package(crate: str) -> None:
    folder = ROOT / "rust" / crate
    package = tomllib.loads((folder / "Cargo.toml").read_text())["package"]
    assert package.get("publish", True)
    assert 3 <= len(package["keywords"]) <= 5
    assert package["categories"]
    assert package["description"]
    assert package["name"] in (folder / package["readme"]).read_text()
    assert (folder / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def test_the_crate_for_hosts_packs_the_python_sources_that_it_compiles_in() -> None:
    listed = subprocess.run(
        ["cargo", "package", "--package", "pybridge", "--list", "--allow-dirty", "--offline"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    packed = {name.removeprefix("python/") for name in listed if name.startswith("python/")}
    command_line = {"__main__.py", "_pybridge.pyi", "cli.py", "doctor.py"}
    package = ROOT / "pybridge"
    paths = [*package.glob("*.py*"), *(package / "_serve").glob("*.py")]
    needed = [path for path in paths if path.name not in command_line]
    assert packed == {path.relative_to(ROOT).as_posix() for path in needed} | {"pybridge/py.typed"}
