"""The page of what mutation tests found."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any, NamedTuple

COLUMNS = ["caught", "timeout", "missed", "accepted", "unviable", "not run"]


class Mutant(NamedTuple):
    """One change of one file."""

    name: str
    """`FILE:LINE:COLUMN: CHANGE`, the change of Python followed by ` #` and its number."""
    file: str
    line: str
    """The line that is changed."""

    @property
    def change(self) -> str:
        """`COLUMN: CHANGE`, which stays the same when the line moves."""
        return self.name.split(":", 2)[2].split(" #")[0]


@dataclass(frozen=True)
class Settings:
    """The content of bench/mutants.toml."""

    modules: dict[str, list[str]]
    """Python modules to change, and the tests of each."""
    left_out: list[str]
    """Patterns of cosmic-ray's operators that are not used."""
    accepted: list[dict[str, Any]]
    """Mutants that no test need see: `reason`, `file`, and by line the changes of it."""

    def reason_of(self, mutant: Mutant) -> str | None:
        """Why it need not be caught."""
        for group in self.accepted:
            if group["file"] == mutant.file and mutant.change in group["changes"].get(mutant.line, ()):
                return str(group["reason"])
        return None


class Row(NamedTuple):
    """One file."""

    file: str
    counts: Counter[str]
    missed: list[Mutant]


def table(mutants: list[Mutant], outcomes: dict[str, str], settings: Settings) -> list[Row]:
    """The files and how many of their mutants came to what."""
    rows: dict[str, Row] = {}
    for mutant in mutants:
        row = rows.setdefault(mutant.file, Row(mutant.file, Counter(), []))
        outcome = outcomes.get(mutant.name, "not run")
        if outcome == "missed" and settings.reason_of(mutant):
            outcome = "accepted"
        row.counts[outcome] += 1
        if outcome == "missed":
            row.missed.append(mutant)
    return list(rows.values())


def share(counts: Counter[str]) -> float:
    """Those whose tests fail or never end, of those that compile and are not accepted."""
    caught = counts["caught"] + counts["timeout"]
    return caught / max(caught + counts["missed"], 1) if caught or counts["missed"] else 1.0


def percent(counts: Counter[str]) -> str:
    """The share as text, nothing where nothing ran."""
    return f"{share(counts):.1%}" if counts["caught"] or counts["timeout"] or counts["missed"] else ""


def total(rows: list[Row]) -> Counter[str]:
    """Of all files together."""
    return sum((row.counts for row in rows), Counter())


def lines_of_table(rows: list[Row]) -> list[str]:
    """The table, with the sum in its last row."""
    named = [(f"`{row.file}`", row.counts) for row in rows] + [("all", total(rows))]
    return [
        "| file | " + " | ".join(COLUMNS) + " | caught of viable |",
        "| --- |" + " ---: |" * (len(COLUMNS) + 1),
        *(
            f"| {name} | {' | '.join(str(counts[column]) for column in COLUMNS)} | {percent(counts)} |"
            for name, counts in named
        ),
    ]


def lines_of_missed(rows: list[Row]) -> list[str]:
    """Each mutant that no test saw and nobody accepted."""
    return [f"{mutant.name}\n    {mutant.line}" for row in rows for mutant in row.missed]


def markdown(rows: list[Row], settings: Settings, head: str) -> str:
    """The page: `head`, the table, what is accepted and what is left."""
    reasons: dict[tuple[str, str], list[str]] = defaultdict(list)
    for group in settings.accepted:
        for line, changes in group["changes"].items():
            reasons[group["file"], group["reason"]] += [f"`{line}`: {c.split(': ', 1)[1]}" for c in changes]
    accepted = [f"| `{file}` | {'<br>'.join(changes)} | {reason} |" for (file, reason), changes in reasons.items()]
    missed = [f"* `{mutant.name}`" for row in rows for mutant in row.missed]
    return "\n".join(
        [
            head,
            *lines_of_table(rows),
            "",
            "## Accepted",
            "",
            "| file | change | why no test need see it |",
            "| --- | --- | --- |",
            *accepted,
            *(["", "## Missed", "", *missed] if missed else []),
            "",
        ]
    )
