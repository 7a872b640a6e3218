"""Tables for people and JSON for programs."""

import json
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from pybridge.bench.names import DESCRIPTIONS
from pybridge.bench.system import origin

SCHEMA = 1


STREAM_CAPTION = (
    "Medians. CPU and context switches of the whole process, per item. First item and gap: median/99th percentile; "
    "items that arrive together have a gap of 0. Compare figures of one run only."
)
LESS_IS_BETTER = ("cpu_us_per_item", "switches_per_item", "first_item_p50_us", "gap_p50_us")
FACTOR_CAPTION = "Above 1 is better: more items/s, or less of everything else (medians)."


def stream_table(rows: list[dict[str, Any]], title: str) -> Table:
    """One line per lane and concurrency."""
    table = lane_table(title, STREAM_CAPTION, ("items/s", "CPU/item", "switches", "first item", "gap"))
    for row in sections(table, rows):
        table.add_row(
            str(row["concurrency"]),
            row["lane"],
            f"{row['items_per_s']:,.0f}",
            time_text(row["cpu_us_per_item"], digits=3),
            f"{row['switches_per_item']:,.3f}",
            pair_text(row["first_item_p50_us"], row["first_item_p99_us"]),
            pair_text(row["gap_p50_us"], row["gap_p99_us"]),
        )
    return table


def factor_table(rows: list[dict[str, Any]]) -> Table:
    """How many times better than `naive` each lane is."""
    table = lane_table(
        "Times better than naive", FACTOR_CAPTION, ("items/s", "CPU/item", "switches", "first item", "gap")
    )
    for row in sections(table, [row for row in rows if row["lane"] != "naive" and "vs_naive" in row]):
        against = row["vs_naive"]
        less = [
            against.get(name) for name in ("cpu_us_per_item", "switches_per_item", "first_item_p50_us", "gap_p50_us")
        ]
        table.add_row(
            str(row["concurrency"]),
            row["lane"],
            factor_text(against.get("items_per_s")),
            *(factor_text(1 / ratio if ratio else None) for ratio in less),
        )
    return table


def lane_table(title: str, caption: str, headings: tuple[str, ...]) -> Table:
    """An empty table by streams and lane."""
    table = empty_table(title, caption)
    table.add_column("streams", justify="right", no_wrap=True)
    table.add_column("lane", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def empty_table(title: str, caption: str) -> Table:
    """A table without columns, as narrow as its content allows."""
    return Table(
        title=title,
        title_justify="left",
        caption=caption,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=0,
    )


def sections(table: Table, rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows, with a gap in the table where the concurrency changes."""
    for _, group in groupby(rows, key=itemgetter("concurrency")):
        yield from group
        table.add_section()


def verdict(rows: list[dict[str, Any]]) -> str:
    """The result in a sentence, at the largest number of streams: what travels to other machines first."""
    concurrency = max(row["concurrency"] for row in rows)
    here = {row["lane"]: row for row in rows if row["concurrency"] == concurrency}
    parts = [
        *extra_cost(here, "pooled", "python", "plain Python with an encoder per item"),
        *extra_cost(here, "chunks", "plain-sse", "plain Python with orjson per item, both without a server"),
    ]
    against = here.get("pooled", {}).get("vs_naive", {})
    if against.get("items_per_s") and against.get("cpu_us_per_item"):
        rate, cpu = factor_text(against["items_per_s"]), factor_text(1 / against["cpu_us_per_item"])
        parts.append(f"{rate} the items/s of the usual bridge, {cpu} less CPU per item")
    streams = "1 stream" if concurrency == 1 else f"{concurrency} streams"
    return f"pybridge at {streams}: {'; '.join(parts)}." if parts else ""


def extra_cost(here: dict[str, dict[str, Any]], lane: str, floor: str, text: str) -> Iterator[str]:
    """What an item costs in a lane against its floor, where both were measured."""
    mine, least = (here.get(name, {}).get("cpu_us_per_item") for name in (lane, floor))
    if mine and least:
        difference = f"{time_text(abs(mine - least))} {'more' if mine > least else 'less'} per item"
        yield f"{factor_text(mine / least)} the CPU of {text} ({difference})"


def pair_text(median: float | None, worst: float | None) -> str:
    """Median and 99th percentile."""
    return "-" if median is None else f"{time_text(median)}/{time_text(worst)}"


def time_text(micros: float | None, digits: int = 2) -> str:
    """Microseconds as people write them: `240ns`, `35us`, `7.2ms`, `1.3s`."""
    if not micros:
        return "-" if micros is None else "0"
    for unit, size in (("ns", 1e-3), ("us", 1.0), ("ms", 1e3)):
        if micros < 999.5 * size:
            return rounded(micros / size, digits) + unit
    return rounded(micros / 1e6, digits) + "s"


def rounded(value: float, digits: int) -> str:
    """`value` with at least so many digits that count, and no more after the point than it needs for them."""
    whole = len(f"{value:.0f}") if value >= 0.95 else 0
    return f"{value:,.{max(digits - whole, 0)}f}"


def factor_text(factor: float | None) -> str:
    """A factor with two digits that count; beyond ten thousand the count no longer means anything."""
    if factor is None:
        return "-"
    return ">10,000x" if factor > 10_000 else f"{rounded(factor, 2)}x"


def memory_table(rows: list[dict[str, Any]], title: str) -> Table:
    """One line per lane and cycle; narrow enough for a terminal of 80 columns."""
    headings = ("after", "MiB", "peak", "given back", "threads", "arenas", "req/s", "CPU")
    table = empty_table(title, MEMORY_CAPTION)
    table.add_column("lane", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    before = None
    for row in rows:
        if before not in (None, row["lane"]):
            table.add_section()
        before = row["lane"]
        rate, cpu = row["requests_per_s"], row["cpu_ms_per_request"]
        table.add_row(
            row["lane"],
            {0: "start"}.get(row["cycle"], str(row["cycle"])),
            f"{row['rss_mib']:,.0f}",
            f"{row['peak_mib']:,.0f}",
            f"{row['released_mib']:,.0f} in {time_text(1e3 * row['release_ms'])}" if row["released_mib"] else "",
            str(row["threads"]),
            str(row["arenas"]),
            "" if rate is None else f"{rate:,.0f}",
            "" if cpu is None else time_text(1e3 * cpu),
        )
    return table


MEMORY_CAPTION = (
    "Resident MiB and CPU per request, each lane in a fresh process. `given back`: what pybridge released by itself"
    " so far, and how long that took. `idle`: some seconds after the last cycle; `trim`: after asking for memory"
    " back. The python lane is the floor: the same handler and bodies without a bridge."
)


def write_json(path: Path, rows: list[dict[str, Any]], settings: dict[str, Any], problems: list[str]) -> None:
    """Schema 1: `{"schema", "version", "build", "date", "machine", "lanes", "settings", "rows", "problems"}`."""
    document = {
        "schema": SCHEMA,
        **origin(),
        "lanes": {lane: DESCRIPTIONS[lane] for lane in dict.fromkeys(row["lane"] for row in rows)},
        "settings": settings,
        "rows": rows,
        "problems": problems,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2, default=str) + "\n", encoding="utf-8")


def print_build(console: Console) -> None:
    """Says so where the figures are those of a debug build."""
    if origin()["build"] == "debug":
        text = "note: this is a debug build of pybridge, several times slower than what `make build` makes"
        console.print(text, style="bold yellow", highlight=False, soft_wrap=True)


def print_problems(console: Console, problems: list[str]) -> None:
    """What went wrong, one line each."""
    for problem in problems:
        console.print(f"problem: {problem}", style="bold red", markup=False)
