"""The figures of `bench.serve` as a page to read, and as a plot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.result_files import bound_text, row, said
from bench.serve_cases import ITEMS, WAYS

SETTING = f"""\
Streams of {ITEMS} OpenAI chunks as server-sent events over HTTP/1.1 on loopback, with a client that is another process;
medians of interleaved runs, CPU of the whole server process. Every answer is checked. Trust the ratios, not the
absolutes.
"""

PLOTTED = ("awaiting-64", "bursts-64", "tight-64", "paced-200", "paced-1000", "single-64", "unary-64")
OURS = "serve"
COLUMNS = 4

HEADS = (
    "server",
    "CPU us/item",
    "items/s",
    "first item p50 ms",
    "first item p99 ms",
    "gap p50 ms",
    "gap p99 ms",
)


def markdown(document: dict[str, Any], picture: str) -> str:
    """The results: the plot and the targets first, then each case."""
    of = document["machine"]
    lines = [
        "# `pybridge serve` beside other servers",
        "",
        f"{of['cores']} cores of {of['cpu']}, {of['system']}, CPython {of['python']}.",
        SETTING,
        f"![CPU an item of each server]({picture})",
        "",
        "| case | figure | measured | target | reached |",
        "| --- | --- | --- | --- | --- |",
        *(_target(case, target) for case in document["cases"] for target in case["targets"]),
        "",
    ]
    for case in document["cases"]:
        measured = f"`{case['command']}`, {case['measured_at']}"
        lines += ["", f"## {case['title']}", "", measured, "", row(*HEADS), row(*("---" for _ in HEADS))]
        lines += [_server(case, way) for way in WAYS if way in case["servers"]]
    return "\n".join([*lines, ""])


def _target(case: dict[str, Any], target: dict[str, Any]) -> str:
    low, high = target["range"]
    measured = f"{target['value']:.2f} ({low:.2f} to {high:.2f})"
    return row(case["title"], target["name"], measured, bound_text(target), said(reached=target["reached"]))


def _server(case: dict[str, Any], way: str) -> str:
    found = case["servers"][way]
    times = [f"{found[f'{what}_{at}_us'] / 1000:.2f}" for what in ("first", "gap") for at in ("p50", "p99")]
    cpu = f"{found['cpu_us']:.2f} ±{case['spreads'][way] * 50:.0f} %"
    return row(WAYS[way], cpu, f"{found['items_per_s']:,.0f}", *times)


def plot(document: dict[str, Any], path: Path) -> None:
    """CPU of each server for an item: a panel for each case, on a logarithmic scale."""
    import matplotlib as mpl  # noqa: PLC0415 - only here, and slow

    mpl.use("agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    cases = [case for case in document["cases"] if case["key"] in PLOTTED]
    rows = -(-len(cases) // COLUMNS)
    size = (4 * COLUMNS + 2, 2.7 * rows)
    figure, panels = plt.subplots(rows, COLUMNS, figsize=size, layout="constrained", squeeze=False, sharey=True)
    names = [name.replace("`", "") for name in WAYS.values()]
    for axis, case in zip(panels.flat, cases, strict=False):
        found = [case["servers"].get(way, {}).get("cpu_us") for way in WAYS]
        shown = [(place, cpu) for place, cpu in enumerate(found) if cpu is not None]
        bars = axis.barh(*zip(*shown, strict=True), color=[_colour(place) for place, _ in shown])
        axis.bar_label(bars, fmt="%.3g", padding=3, fontsize="small")
        axis.set(title=case["title"].replace("`", ""), xscale="log", yticks=range(len(names)), yticklabels=names)
        axis.margins(x=0.2)
        axis.grid(axis="x", alpha=0.3)
    panels[0][0].invert_yaxis()
    for axis in panels.flat[len(cases) :]:
        axis.set_axis_off()
    figure.suptitle("Processor time of the server for each item, us (less is better)", fontsize="medium")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _colour(place: int) -> str:
    return "tab:orange" if list(WAYS)[place] == OURS else "tab:gray"
