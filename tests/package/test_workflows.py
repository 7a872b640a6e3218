"""The workflows of GitHub; this file is not part of the source distribution."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text()

Node = dict[str, Any]


def load(name: str) -> Node:
    document: Node = yaml.safe_load((ROOT / ".github" / name).read_text())
    return document


def jobs() -> Iterator[tuple[str, Node]]:
    """Every job with its name: `tests.yml: lint`."""
    for path in WORKFLOWS:
        for name, job in load(f"workflows/{path.name}")["jobs"].items():
            yield f"{path.name}: {name}", job


def steps() -> Iterator[Node]:
    for _, job in jobs():
        yield from job.get("steps", [])
    yield from load("actions/setup/action.yml")["runs"]["steps"]


def versions_of_the_makefile() -> list[str]:
    found = re.search(r"^PYTHONS\s*:= (.*)$", MAKEFILE, re.MULTILINE)
    assert found
    return found[1].split()


def test_versions_of_python_are_the_same_in_makefile_classifiers_and_workflows() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    versions = versions_of_the_makefile()
    prefix = "Programming Language :: Python :: 3."
    assert [line.rpartition(" ")[2] for line in project["classifiers"] if line.startswith(prefix)] == versions
    assert project["requires-python"] == f">={versions[0]}"
    assert load("workflows/tests.yml")["jobs"]["python"]["strategy"]["matrix"]["python"] == versions
    built = [
        step["with"]["python-version"]
        for step in load("workflows/packages.yml")["jobs"]["wheels"]["steps"]
        if "setup-python" in step.get("uses", "")
    ]
    assert [found.split() for found in built] == [versions]


def test_a_single_version_of_python_in_a_workflow_is_one_of_those_tested() -> None:
    single = [step["with"]["python-version"] for step in steps() if "setup-python" in step.get("uses", "")]
    single = [version for version in single if re.fullmatch(r"[\d.]+", version)]
    single.append(load("actions/setup/action.yml")["inputs"]["python"]["default"])
    assert set(single) <= set(versions_of_the_makefile())


def test_wheels_of_the_workflow_are_those_that_a_release_must_have() -> None:
    matrix = load("workflows/packages.yml")["jobs"]["wheels"]["strategy"]["matrix"]["include"]
    libc = {"gnu": "manylinux_2_28", "musl": "musllinux_1_2"}
    platforms = set()
    for entry in matrix:
        machine, name = entry["target"].split("-")[0], entry["target"].rpartition("-")[2]
        assert entry["image"] == f"{libc[name]}_{machine}"
        assert entry["machine"].endswith("-arm") == (machine == "aarch64")
        platforms.add(entry["image"])
    assert len(platforms) == len(matrix) == 4
    checked = (ROOT / "release" / "check.py").read_text()
    for part in {*libc.values(), "x86_64", "aarch64"}:
        assert f'"{part}"' in checked
        assert part in MAKEFILE or part in {"x86_64", "aarch64"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflow_grants_nothing_by_default_and_says_what_runs_at_once(path: Path) -> None:
    workflow = load(f"workflows/{path.name}")
    assert workflow["permissions"] == {}
    # A workflow that another calls is in that one's group, unless its own name is in it.
    assert workflow["concurrency"]["group"].startswith(f"{path.stem}-")


def test_every_job_ends_by_itself_and_may_write_nothing_but_what_releases_need() -> None:
    writes = {}
    for name, job in jobs():
        assert "timeout-minutes" in job or job.get("uses", "").startswith("$/"), name
        granted = {scope for scope, access in job["permissions"].items() if access != "read"}
        if granted:
            writes[name] = granted
    assert writes == {
        "release.yml: attest": {"id-token", "attestations"},
        "release.yml: publish": {"id-token"},
        "release.yml: announce": {"contents"},
    }


def test_nothing_is_published_before_version_tests_and_files_are_checked() -> None:
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text()
    assert 'on:\n  push:\n    tags: ["v*"]\n\n' in text
    workflow = load("workflows/release.yml")
    waits_for: dict[str, set[str]] = {}
    for name, job in workflow["jobs"].items():
        needs = job.get("needs", [])
        direct = {needs} if isinstance(needs, str) else set(needs)
        waits_for[name] = direct.union(*(waits_for[before] for before in direct))
        assert "if" not in job, "a condition could run it after a failure"
    assert waits_for["publish"] >= {"version", "tests", "packages", "attest"}
    assert workflow["jobs"]["publish"]["environment"] == "pypi"
    assert workflow["concurrency"]["cancel-in-progress"] is False
    commands = [step.get("run", "") for name in ("version", "attest") for step in workflow["jobs"][name]["steps"]]
    assert 'python release/check.py tag "$GITHUB_REF_NAME"' in commands
    assert "python release/check.py files dist" in commands


def test_what_is_published_is_built_without_caches() -> None:
    for name in ("packages", "release"):
        text = (ROOT / ".github" / "workflows" / f"{name}.yml").read_text()
        assert "cache:" not in text
        assert "rust-cache" not in text
        assert "$/.github/actions/setup" not in text, "it restores caches"


def test_actions_are_pinned_by_commit_and_no_checkout_keeps_its_token() -> None:
    uses = [step for step in steps() if "uses" in step]
    assert len(uses) > 20
    for step in uses:
        assert re.search(r"@[0-9a-f]{40}$", step["uses"]) or step["uses"].startswith("$/"), step["uses"]
        if step["uses"].startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False
            assert step["with"].keys() <= {"persist-credentials", "fetch-depth"}


def test_an_action_is_pinned_to_one_commit_everywhere() -> None:
    pins: dict[str, set[str]] = {}
    for path in [*WORKFLOWS, ROOT / ".github" / "actions" / "setup" / "action.yml"]:
        for action, pin in re.findall(r"uses: ([\w/-]+)@(\w{40} # v[\d.]+)$", path.read_text(), re.MULTILINE):
            pins.setdefault(action, set()).add(pin)
    assert "actions/checkout" in pins
    assert all(len(found) == 1 for found in pins.values()), pins


def test_the_required_check_waits_for_every_other_job() -> None:
    all_jobs = load("workflows/tests.yml")["jobs"]
    green = all_jobs.pop("green")
    assert set(green["needs"]) == set(all_jobs)
    (step,) = green["steps"]
    assert step["run"].count("success") == len(all_jobs)


def test_commands_of_workflows_are_make_targets_and_scripts_that_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    sanitizers = load("workflows/soundness.yml")["jobs"]["sanitizer"]["strategy"]["matrix"]["sanitizer"]
    named: set[str] = set(sanitizers)
    for step in steps():
        for line in step.get("run", "").splitlines():
            if line.startswith("make "):
                named.update(word for word in line.split()[1:] if not word.startswith('"'))
            for script in re.findall(r"release/\w+\.py", line):
                assert (ROOT / script).exists(), script
    assert {
        "lint",
        "types",
        "test-python",
        "test-rust",
        "msrv",
        "loom",
        "miri",
        "asan",
        "tsan",
        "wheels",
        "sdist",
    } <= named
    assert named <= targets


def test_dependabot_watches_every_lock_file_and_pin() -> None:
    updates = {entry["package-ecosystem"]: entry for entry in load("dependabot.yml")["updates"]}
    locks = {
        f"/{path.relative_to(ROOT).as_posix()}"
        for folder in ("bench", "examples", "rust")
        for path in (ROOT / folder).glob("**/Cargo.lock")
        if "target" not in path.parts
    }
    assert {f"{folder}/Cargo.lock".replace("//", "/") for folder in updates["cargo"]["directories"]} == locks | {
        "/Cargo.lock"
    }
    assert set(updates["pip"]["directories"]) == {"/", "/release"}
    assert "/.github/actions/*" in updates["github-actions"]["directories"]
    assert all(entry["groups"] for entry in updates.values())


def test_forms_ask_for_what_the_doctor_says() -> None:
    forms = [load(f"ISSUE_TEMPLATE/{name}.yml") for name in ("bug", "performance")]
    for form in forms:
        required = {field["id"] for field in form["body"] if field.get("validations", {}).get("required")}
        assert "doctor" in required
