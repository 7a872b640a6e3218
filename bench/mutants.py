"""Changes of the code that no test sees: makes them, runs the tests, and writes bench/results/mutants.md.

python -m bench.mutants pool codec bridge python report  everything
python -m bench.mutants bridge --only queue,ending files whose path holds one of the texts; others keep what they had
python -m bench.mutants bridge --shard 2/8         the third of eight parts of a crate
python -m bench.mutants report                     only writes the page of all that was found
"""

import argparse
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from sqlite3 import connect
from typing import Any

from bench.mutants_report import Mutant, Settings, lines_of_missed, lines_of_table, markdown, share, table, total

ROOT = Path(__file__).parent.parent
OUT = ROOT / "target" / "mutation"
RESULTS = ROOT / "bench" / "results" / "mutants.json"
PAGE = ROOT / "bench" / "results" / "mutants.md"
LEAST_CAUGHT = 0.92

HEAD = """# Mutation tests

`make mutants` changes one place at a time and runs the tests of what it changed: those of the crate (cargo-mutants), or
those named in `bench/mutants.toml` (cosmic-ray). It shows how far it is and how long it took, and fails below 92 %
caught. A mutant that is *unviable* does not compile; one that takes too long counts as caught; one that is *accepted*
need not be seen by any test. Parts of it: `python -m bench.mutants --help`; this page, from the last outcome of each
mutant of files that have not changed since (`mutants.json`): `python -m bench.mutants report`. By the processor time
of parts, all of it takes an idle machine of two cores about two hours.
"""

POOL_TESTS = ["lib", "test=fork", "test=limits", "test=model", "test=writer"]
# Every test binary is linked again for each mutant: those that see nothing new stay out. The files of codec and
# bridge that are changed have unit tests.
CRATES = {
    "pool": ["pybridge-pool", *(f"--cargo-test-arg=--{tests}" for tests in POOL_TESTS)],
    "codec": ["pybridge-codec", "--cargo-test-arg=--lib"],
    "bridge": ["pybridge", "--features=tracing", "--cargo-test-arg=--lib"],
}
OUTCOMES = {"CaughtMutant": "caught", "MissedMutant": "missed", "Timeout": "timeout", "Unviable": "unviable"}


class Crate:
    """Mutants of one crate, by cargo-mutants; `.cargo/mutants.toml` says of which files."""

    def __init__(self, name: str) -> None:
        self._directory = OUT / name
        self._command = ["cargo", "mutants", "--package", *CRATES[name]]

    def mutants(self) -> list[Mutant]:
        """All of them, as the sources are now."""
        command = [*self._command, "--list", "--json"]
        listed = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
        return [Mutant(found["name"], found["file"], line_of(found)) for found in json.loads(listed.stdout)]

    def run(self, takes: Callable[[str], bool], shard: str | None) -> None:
        """Runs the mutants of the files that `takes` names, or one part of them."""
        files = sorted({mutant.file for mutant in self.mutants() if takes(mutant.file)})
        if not files:
            return
        chosen = f"--re=^({'|'.join(map(re.escape, files))}):"
        self._directory.mkdir(parents=True, exist_ok=True)
        command = [
            *self._command,
            chosen,
            "--jobs=1",
            f"--output={self._directory}",
            *(["--shard", shard] if shard else []),
        ]
        # Crates that are not changed are built once, wherever the changed one lies.
        environment = os.environ | {"CARGO_TARGET_DIR": str(OUT / "build")}
        status = subprocess.run(command, cwd=ROOT, check=False, env=environment).returncode
        if status not in {0, 2, 3}:  # 2: some were missed, 3: some took too long
            sys.exit(f"cargo mutants failed with {status}")
        self.collect()

    def collect(self) -> None:
        """Keeps what cargo-mutants found."""
        found = json.loads((self._directory / "mutants.out" / "outcomes.json").read_text())["outcomes"]
        keep(
            (outcome["scenario"]["Mutant"]["name"], OUTCOMES[outcome["summary"]])
            for outcome in found
            if outcome["summary"] in OUTCOMES and outcome["scenario"] != "Baseline"
        )


def line_of(found: dict[str, Any]) -> str:
    """The line that a mutant changes."""
    lines = (ROOT / found["file"]).read_text().splitlines()
    line: str = lines[found["span"]["start"]["line"] - 1]
    return line.strip()


class Package:
    """Mutants of Python modules, by cosmic-ray, in a copy of the package and its tests."""

    _tree = OUT / "python"

    def __init__(self, modules: dict[str, list[str]], left_out: list[str]) -> None:
        self._modules = modules
        self._left_out = left_out

    def mutants(self) -> list[Mutant]:
        """All of them, as the sources are now."""
        self._copy()
        return [mutant for module in self._modules for mutant in self._prepare(module)]

    def run(self, takes: Callable[[str], bool], shard: str | None) -> None:
        """Runs the mutants of the modules that `takes` names."""
        if shard:
            sys.exit("Python modules are chosen by --only")
        self._copy()
        for module in filter(takes, self._modules):
            self._prepare(module)
            keep(self._run(module))

    def _copy(self) -> None:
        shutil.rmtree(self._tree, ignore_errors=True)
        for name in ("pybridge", "tests"):
            shutil.copytree(ROOT / name, self._tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", self._tree)

    def _call(self, program: str, *arguments: str) -> str:
        command = [str(Path(sys.executable).with_name(program)), *arguments]
        return subprocess.run(command, cwd=self._tree, check=True, stdout=subprocess.PIPE, text=True).stdout

    def _prepare(self, module: str) -> list[Mutant]:
        """Writes the session of a module."""
        tests = [sys.executable, "-m", "pytest", "-xq", "-pno:cacheprovider", *self._modules[module]]
        (self._tree / "session.toml").write_text(
            "[cosmic-ray]\n"
            f"module-path = {json.dumps(module)}\ntimeout = 60.0\nexcluded-modules = []\n"
            f"test-command = {json.dumps(shlex.join(tests))}\ndistributor.name = 'local'\n"
            f"filters.operators-filter.exclude-operators = {json.dumps(self._left_out)}\n"
        )
        (self._tree / "session").unlink(missing_ok=True)
        self._call("cosmic-ray", "init", "session.toml", "session")
        self._call("cr-filter-operators", "session", "session.toml")
        lines = (self._tree / module).read_text().splitlines()
        return [Mutant(name, module, lines[line - 1].strip()) for name, line, result in self._dump() if result is None]

    def _dump(self) -> list[tuple[str, int, dict[str, Any] | None]]:
        """Name, line and result of each mutant of the session."""
        jobs = [json.loads(text) for text in self._call("cosmic-ray", "dump", "session").splitlines()]
        return [(name_of(job["mutations"][0]), job["mutations"][0]["start_pos"][0], result) for job, result in jobs]

    def _run(self, module: str) -> list[tuple[str, str]]:
        environment = os.environ | {"PYTHONPATH": str(self._tree), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [str(Path(sys.executable).with_name("cosmic-ray")), "exec", "session.toml", "session"]
        left = len([result for *_, result in self._dump() if result is None])
        with subprocess.Popen(command, cwd=self._tree, env=environment) as process:
            while process.poll() is None:
                time.sleep(5)
                print(f"{module}: {self._done()} of {left}", flush=True)
        if process.returncode:
            sys.exit(f"cosmic-ray failed with {process.returncode}")
        return [
            (name, outcome_of(result))
            for name, _, result in self._dump()
            if result is not None and result["worker_outcome"] != "skipped"
        ]

    def _done(self) -> int:
        with closing(connect(self._tree / "session")) as session:
            count = session.execute("select count(*) from work_results where worker_outcome != 'SKIPPED'").fetchone()
        return int(count[0])


def name_of(mutation: dict[str, Any]) -> str:
    """In the form of cargo-mutants."""
    line, column = mutation["start_pos"]
    what = mutation["operator_name"].removeprefix("core/")
    arguments = "".join(f" {value}" for value in mutation["operator_args"].values())
    where = mutation["definition_name"]
    number = mutation["occurrence"]
    return f"{mutation['module_path']}:{line}:{column}: {what}{arguments}{f' in {where}' if where else ''} #{number}"


def outcome_of(result: dict[str, Any]) -> str:
    """The words of cargo-mutants for those of cosmic-ray."""
    if result["test_outcome"] == "survived":
        return "missed"
    if result["test_outcome"] == "incompetent":
        return "unviable"
    return "timeout" if result["output"] == "timeout" else "caught"


def source_of(file: str) -> str:
    """The digest of a file: outcomes hold for the source that they were found with."""
    return hashlib.sha256((ROOT / file).read_bytes()).hexdigest()[:16]


def recorded() -> dict[str, Any]:
    """By file: its `source`, and under `outcomes` by mutant's name what came of it."""
    files: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    return {file: of for file, of in files.items() if (ROOT / file).exists() and of["source"] == source_of(file)}


def kept() -> dict[str, str]:
    """The last outcome of each mutant of files that are as they were then."""
    return {f"{file}:{name}": outcome for file, of in recorded().items() for name, outcome in of["outcomes"].items()}


def keep(outcomes: Iterable[tuple[str, str]]) -> None:
    """In place of what was found before."""
    files = recorded()
    for name, outcome in outcomes:
        file, _, change = name.partition(":")
        if file not in files:
            files[file] = {"source": source_of(file), "outcomes": {}}
        files[file]["outcomes"][change] = outcome
    RESULTS.write_text(json.dumps(files, indent=1, sort_keys=True) + "\n")


def main() -> None:
    """Runs what is asked for, and judges what is known of it."""
    settings = Settings(**tomllib.loads((ROOT / "bench" / "mutants.toml").read_text()))
    parts = {name: Crate(name) for name in CRATES} | {"python": Package(settings.modules, settings.left_out)}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=[*parts, "report"], help="what is changed")
    parser.add_argument("--only", type=lambda text: text.split(","), default=[""], help="texts in paths of files")
    parser.add_argument("--shard", help="NUMBER/PARTS of a crate's mutants")
    arguments = parser.parse_args()

    def takes(file: str) -> bool:
        return any(text in file for text in arguments.only)

    began = time.monotonic()
    chosen = [parts[name] for name in arguments.parts if name != "report"]
    for part in chosen:
        part.run(takes, arguments.shard)
    report = "report" in arguments.parts
    judged = parts.values() if report else chosen
    mutants = [mutant for part in judged for mutant in part.mutants() if report or takes(mutant.file)]
    rows = table(mutants, kept(), settings)
    minutes = (time.monotonic() - began) / 60
    print("\n".join([*lines_of_missed(rows), *lines_of_table(rows), f"{minutes:.0f} minutes"]))
    if report:
        PAGE.write_text(markdown(rows, settings, HEAD))
    caught = share(total(rows))
    if caught < LEAST_CAUGHT:
        sys.exit(f"{caught:.1%} are caught, {LEAST_CAUGHT:.0%} should be")


if __name__ == "__main__":
    main()
