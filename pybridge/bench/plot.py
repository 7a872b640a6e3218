"""Pictures of a report."""

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import LogLocator, NullLocator

from pybridge.bench.names import DESCRIPTIONS
from pybridge.bench.system import origin

COLOURS = {"naive": "#c0504d", "bridge-thread": "#e0a030", "pooled": "#2e75b6", "python": "#7f7f7f"}


def plot_streams(path: Path, rows: list[dict[str, Any]], title: str) -> None:
    """Items per second and CPU per item over the number of streams, on logarithmic axes; bars span the repeats."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 5.8), layout="constrained")
    figure.suptitle(f"{title}\n{origin_text(rows)}", fontsize="medium")
    panels = (
        ("items_per_s", "items per second (higher is better)", ""),
        ("cpu_us_per_item", "CPU per item (lower is better)", "\u00b5s"),
    )
    lanes = list(dict.fromkeys(row["lane"] for row in rows))
    for axis, (name, label, unit) in zip(axes, panels, strict=True):
        for lane in lanes:
            mine = [row for row in rows if row["lane"] == lane]
            points = [row["concurrency"] for row in mine], [row[name] for row in mine]
            spread = [[abs(row[name] - row[f"{name}_range"][end]) for row in mine] for end in (0, 1)]
            axis.errorbar(*points, yerr=spread, marker="o", capsize=3, label=lane_text(lane), color=COLOURS.get(lane))
        ticks = sorted({row["concurrency"] for row in rows})
        axis.set(xscale="log", yscale="log", xlabel="streams at a time", ylabel=label)
        axis.set_xticks(ticks, [str(tick) for tick in ticks])
        axis.xaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter(lambda value, _, unit=unit: tick_text(value, unit))
        axis.yaxis.set_minor_locator(NullLocator())
        axis.grid(alpha=0.3)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=1, frameon=False)
    save(figure, path)


def lane_text(lane: str) -> str:
    """A lane and what it is."""
    return f"{lane}: {DESCRIPTIONS.get(lane, '')}".removesuffix(": ")


def origin_text(rows: list[dict[str, Any]]) -> str:
    """Where the figures come from, on one line."""
    found = origin()
    machine = found["machine"]
    repeats = max((row.get("repeats", 1) for row in rows), default=1)
    return (
        f"pybridge {found['version']} ({found['build']} build), CPython {machine['python']},"
        f" {machine['cores']} cores of {machine['cpu']}, {found['date'][:10]}, medians and range of {repeats} runs"
    )


def tick_text(value: float, unit: str) -> str:
    """A number of an axis as people write it: `200k`, `5 \u00b5s`."""
    for size, suffix in ((1e6, "M"), (1e3, "k")):
        if value >= size and not unit:
            return f"{value / size:g}{suffix}"
    return f"{value:g} {unit}".rstrip()


def plot_memory(path: Path, timelines: dict[str, list[tuple[float, float]]], title: str) -> None:
    """Resident memory over time, one line per lane."""
    figure, axis = plt.subplots(figsize=(9, 4.5), layout="constrained")
    for lane, samples in timelines.items():
        axis.plot(
            [at for at, _ in samples], [mib for _, mib in samples], label=lane_text(lane), color=COLOURS.get(lane)
        )
    axis.set_title(f"{title}\n{origin_text([])}", fontsize="small")
    axis.set(xlabel="seconds", ylabel="resident memory, MiB", ylim=(0, None))
    axis.grid(alpha=0.3)
    axis.legend(fontsize="small")
    save(figure, path)


def save(figure: Any, path: Path) -> None:
    """Writes the picture; its kind follows from the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)
