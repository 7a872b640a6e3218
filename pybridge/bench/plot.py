"""Pictures of a report."""

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt

COLOURS = {"naive": "#c0504d", "bridge-thread": "#e0a030", "pooled": "#2e75b6", "python": "#7f7f7f"}


def plot_streams(path: Path, rows: list[dict[str, Any]], title: str) -> None:
    """Items per second and CPU per item over the number of streams, on logarithmic axes."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    figure.suptitle(title)
    for axis, (name, label) in zip(
        axes, (("items_per_s", "items per second"), ("cpu_us_per_item", "CPU per item, us")), strict=True
    ):
        for lane in dict.fromkeys(row["lane"] for row in rows):
            mine = [row for row in rows if row["lane"] == lane]
            axis.plot(
                [row["concurrency"] for row in mine],
                [row[name] for row in mine],
                marker="o",
                label=lane,
                color=COLOURS.get(lane),
            )
        ticks = sorted({row["concurrency"] for row in rows})
        axis.set(xscale="log", yscale="log", xlabel="streams at a time", ylabel=label)
        axis.set_xticks(ticks, [str(tick) for tick in ticks])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[0].legend()
    save(figure, path)


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
