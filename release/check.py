"""Checks before a release: the tag names the version, the changelog has it, every file is there.

python release/check.py tag v1.2.3      fails unless tag, versions, lock files and changelog agree
python release/check.py files dist      fails unless dist holds the source distribution and every wheel, nothing else
python release/check.py notes v1.2.3    prints the changelog's section
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLATFORMS = tuple(
    f"{libc}_{machine}" for libc in ("manylinux_2_28", "musllinux_1_2") for machine in ("x86_64", "aarch64")
)
LOCKS = (
    "Cargo.lock",
    "bench/http/Cargo.lock",
    "examples/axum_gateway/Cargo.lock",
    "examples/rust_host/Cargo.lock",
    "rust/codec/fuzz/Cargo.lock",
    "rust/pool/fuzz/Cargo.lock",
)
OURS = {"pybridge", "pybridge-base", "pybridge-codec", "pybridge-http", "pybridge-macros", "pybridge-pool"}


class ReleaseError(Exception):
    """What stands in the way of the release; one line per finding."""


def version_of(root: Path) -> str:
    """The version that all crates and the distribution share, in Cargo's spelling: `1.2.3`, `1.2.3-rc.1`."""
    manifest = tomllib.loads((root / "Cargo.toml").read_text())
    version: str = manifest["workspace"]["package"]["version"]
    return version


def python_version_of(version: str) -> str:
    """The same version as file names of distributions spell it: `1.2.3-rc.1` is `1.2.3rc1`."""
    match = re.fullmatch(r"(\d+\.\d+\.\d+)(?:-(alpha|beta|rc)\.(\d+))?", version)
    if not match:
        raise ReleaseError(f"version {version}: write X.Y.Z, or X.Y.Z-alpha.N, -beta.N or -rc.N")
    number, stage, count = match.groups()
    return f"{number}{ {'alpha': 'a', 'beta': 'b', 'rc': 'rc'}[stage] }{count}" if stage else number


def python_versions(root: Path) -> list[str]:
    """The versions of CPython that the classifiers promise: `["3.11", …]`."""
    classifiers = tomllib.loads((root / "pyproject.toml").read_text())["project"]["classifiers"]
    return [
        found[1] for line in classifiers if (found := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", line))
    ]


def notes_of(root: Path, version: str) -> str:
    """The changelog's section for `version`, without its heading."""
    text = (root / "CHANGELOG.md").read_text()
    sections = re.split(r"^## (.+)$\n", text, flags=re.MULTILINE)
    for heading, body in zip(sections[1::2], sections[2::2], strict=True):
        if re.fullmatch(rf"{re.escape(version)} - \d{{4}}-\d\d-\d\d", heading):
            if not body.strip():
                raise ReleaseError(f"CHANGELOG.md: nothing below `## {heading}`")
            return body.strip() + "\n"
    raise ReleaseError(f"CHANGELOG.md: no heading `## {version} - YYYY-MM-DD`")


def _tag_findings(root: Path, tag: str) -> Iterator[str]:
    version = version_of(root)
    if tag != f"v{version}":
        yield f"tag {tag}: the version in Cargo.toml is {version}, so the tag must be v{version}"
    for name in LOCKS:
        for package in tomllib.loads((root / name).read_text())["package"]:
            if package["name"] in OURS and package["version"] != version:
                yield f"{name}: {package['name']} is {package['version']} there; run cargo check beside it"
    try:
        python_version_of(version)
        notes_of(root, version)
    except ReleaseError as error:
        yield str(error)


def check_tag(root: Path, tag: str) -> None:
    """Raises `ReleaseError` unless `tag`, the version, the lock files and the changelog agree."""
    findings = list(_tag_findings(root, tag))
    if findings:
        raise ReleaseError("\n".join(findings))


def expected_files(root: Path) -> set[str]:
    """Names of all files of a release: the source distribution, and a wheel per version of Python and platform."""
    stem = f"pybridge_engine-{python_version_of(version_of(root))}"
    tags = [f"cp{python.replace('.', '')}" for python in python_versions(root)]
    return {f"{stem}.tar.gz"} | {f"{stem}-{tag}-{tag}-{platform}.whl" for tag in tags for platform in PLATFORMS}


def check_files(root: Path, folder: Path) -> None:
    """Raises `ReleaseError` unless `folder` holds the files of a release and nothing else."""
    found, expected = {path.name for path in folder.iterdir()}, expected_files(root)
    findings = [f"missing: {name}" for name in sorted(expected - found)]
    findings += [f"not of this release: {name}" for name in sorted(found - expected)]
    if findings:
        raise ReleaseError("\n".join(findings))


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Runs one check; gives the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("check", choices=["tag", "files", "notes"])
    parser.add_argument("subject", help="a tag such as v1.2.3, or a folder")
    given = parser.parse_args(arguments)
    try:
        if given.check == "tag":
            check_tag(root, given.subject)
        elif given.check == "files":
            check_files(root, Path(given.subject))
        else:
            print(notes_of(root, given.subject.removeprefix("v")), end="")
    except ReleaseError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
