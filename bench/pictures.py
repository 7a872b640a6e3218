"""Pictures of the documentation, drawn from the committed figures: `python -m bench.pictures`."""

import hashlib
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

from pybridge.bench.plot import COLOURS

RESULTS = Path(__file__).parent / "results"
ASSETS = Path(__file__).parents[1] / "docs" / "assets"
NAMES = {
    "naive": "usual bridge",
    "bridge-thread": "one thread for conversions",
    "pooled": "pybridge",
    "python": "plain Python",
}
CASES = {
    "tight-64": "never waits,\n64 streams",
    "bursts-64": "8 items per\nawait, 64 streams",
    "await-64": "one item per\nawait, 64 streams",
    "await-256": "one item per\nawait, 256 streams",
}
"""Cases of `streams.json` whose cost is drawn, with their labels."""


def source(name: str) -> tuple[dict[str, Any], str]:
    """Figures, and what tells them from others."""
    text = (RESULTS / f"{name}.json").read_bytes()
    return json.loads(text), hashlib.sha256(text).hexdigest()


def memory() -> None:
    """Resident memory over the cycles of the soak with text, and when idle."""
    document, digest = source("soak")
    figure, axis = plt.subplots(figsize=(6.4, 4), layout="constrained")
    for lane, measured in document["cases"]["text"].items():
        run = measured["runs"][0]
        values = [run["start"], *run["cycles"]]
        axis.plot(range(len(values)), values, label=NAMES[lane], color=COLOURS[lane], linewidth=2)
        axis.plot([len(values) - 1, 22], [values[-1], run["idle"]], color=COLOURS[lane], linewidth=1, linestyle=":")
        axis.plot([22], [run["idle"]], color=COLOURS[lane], marker="o")
        axis.annotate(f"{run['idle']:.0f}", (22, run["idle"]), (6, -4), textcoords="offset points")
    axis.set(ylabel="resident memory, MiB", xlabel="cycles of 1,000 requests of 1 MB", ylim=(0, None), xlim=(0, 23.5))
    axis.set_xticks([0, 5, 10, 15, 20, 22], ["start", "5", "10", "15", "20", "idle"])
    axis.grid(alpha=0.3)
    axis.legend(loc="lower left", bbox_to_anchor=(0, 0.12))
    save(figure, "memory", digest)


def cost() -> None:
    """Processor time of one item, by lane and case."""
    document, digest = source("streams")
    cases = {case["key"]: case["medians"] for case in document["cases"]}
    figure, axis = plt.subplots(figsize=(6.4, 4), layout="constrained")
    for place, (lane, name) in enumerate(NAMES.items()):
        values = [cases[key][lane]["cpu_us"] for key in CASES]
        bars = axis.bar(
            [x + 0.2 * (place - 1.5) for x in range(len(CASES))], values, 0.19, label=name, color=COLOURS[lane]
        )
        axis.bar_label(bars, [f"{value:.2g}" if value < 10 else f"{value:.0f}" for value in values], fontsize=8)
    axis.set(ylabel="CPU of one item, µs (logarithmic)", yscale="log", ylim=(0.1, 2000))
    axis.set_xticks(range(len(CASES)), CASES.values(), fontsize=9)
    axis.grid(axis="y", alpha=0.3)
    axis.legend(ncols=2, loc="upper center", fontsize=9)
    save(figure, "cost", digest)


def save(figure: Any, name: str, digest: str) -> None:
    """Writes a picture that names the figures it was drawn from."""
    with mpl.rc_context({"svg.hashsalt": "pybridge", "svg.fonttype": "none"}):
        figure.savefig(ASSETS / f"{name}.svg", metadata={"Date": None, "Description": digest})
    plt.close(figure)


if __name__ == "__main__":
    memory()
    cost()
