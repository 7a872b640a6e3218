"""Pictures of a report."""

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import LogLocator, NullLocator

COLOURS = {"naive": "#c0504d", "bridge-thread": "#e0a030", "pooled": "#2e75b6", "python": "#7f7f7f"}


def plot_streams(path: Path, rows: list[dict[str, Any]], title: str) -> None:
    """Items per second and CPU per item over the number of streams, on logarithmic axes."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.8), layout="constrained")
    figure.suptitle(title)
    panels = (
        ("items_per_s", "items per second (higher is better)", ""),
        ("cpu_us_per_item", "CPU per item (lower is better)", "\u00b5s"),
    )
    lanes = list(dict.fromkeys(row["lane"] for row in rows))
    for axis, (name, label, unit) in zip(axes, panels, strict=True):
        for lane in lanes:
            mine = [row for row in rows if row["lane"] == lane]
            points = [row["concurrency"] for row in mine], [row[name] for row in mine]
            axis.plot(*points, marker="o", label=lane, color=COLOURS.get(lane))
        ticks = sorted({row["concurrency"] for row in rows})
        axis.set(xscale="log", yscale="log", xlabel="streams at a time", ylabel=label)
        axis.set_xticks(ticks, [str(tick) for tick in ticks])
        axis.xaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter(lambda value, _, unit=unit: tick_text(value, unit))
        axis.yaxis.set_minor_locator(NullLocator())
        axis.grid(alpha=0.3)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(lanes), frameon=False)
    save(figure, path)


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
        axis.plot([at for at, _ in samples], [mib for _, mib in samples], label=lane, color=COLOURS.get(lane))
    axis.set(title=title, xlabel="seconds", ylabel="resident memory, MiB", ylim=(0, None))
    axis.grid(alpha=0.3)
    axis.legend()
    save(figure, path)


def save(figure: Any, path: Path) -> None:
    """Writes the picture; its kind follows from the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)
