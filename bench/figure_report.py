"""The results as a page to read."""

from typing import Any

UNITS = {
    "items_per_s": ("items/s", "{:,.0f}"),
    "requests_per_s": ("requests/s", "{:,.0f}"),
    "cpu_us": ("CPU us/item", "{:,.2f}"),
    "switches": ("switches/item", "{:,.3f}"),
    "probe_p50_us": ("probe p50 us", "{:,.0f}"),
    "probe_p99_us": ("probe p99 us", "{:,.0f}"),
    "start_mib": ("start MiB", "{:,.0f}"),
    "after_cycles_mib": ("after cycles", "{:,.0f}"),
    "peak_mib": ("peak", "{:,.0f}"),
    "idle_mib": ("idle", "{:,.0f}"),
    "trim_mib": ("trimmed", "{:,.0f}"),
    "threads": ("threads", "{:.0f}"),
    "arenas": ("arenas", "{:.0f}"),
    "cpu_ms": ("CPU ms/request", "{:,.2f}"),
}


def column(beside: dict[str, Any] | None) -> str:
    """The heading of the column with the figures of another run, if there is one."""
    return f" CPython {beside['machine']['python']} |" if beside else ""


def markdown(document: dict[str, Any], beside: dict[str, Any] | None = None) -> str:
    """The page: the targets first, with the figures of another run `beside` them, then what was measured."""
    machine = document["machine"]
    setting = (
        f"{machine['cores']} cores of {machine['cpu']}, {machine['system']}, CPython {machine['python']}. "
        "Medians; in a case all lanes ran in one go, their repeats interleaved. Trust the ratios, not the absolutes."
    )
    lines = [
        "# Figures to reach",
        "",
        setting,
        "",
        "| case | figure | target | measured | reached | repeats |" + column(beside),
        "| --- | --- | --- | --- | --- | --- |" + " --- |" * bool(beside),
    ]
    others = {
        (case["key"], target["name"]): number(target["value"], target)
        for case in (beside or {"cases": []})["cases"]
        for target in case["targets"]
    }
    for case in document["cases"]:
        lines += [
            f"| {case['title']} | {target['name']} | {bound(target)} | {number(target['value'], target)} "
            f"| {'yes' if target['reached'] else '**no**'} | {case['repeats']} |"
            + (f" {others.get((case['key'], target['name']), '')} |" if beside else "")
            for target in case["targets"]
        ]
    for case in document["cases"]:
        lines += ["", f"## {case['title']}", "", f"`{case['command']}`, {case['measured_at']}", "", *lane_lines(case)]
    return "\n".join(lines) + "\n"


def lane_lines(case: dict[str, Any]) -> list[str]:
    """A table of medians with their spread, (max - min) / median."""
    figures = next(iter(case["medians"].values()))
    shown = [name for name in UNITS if name in figures]
    if figures.get("items_per_s", figures["requests_per_s"]) != figures["requests_per_s"]:
        shown.remove("requests_per_s")
    lines = [
        "| lane | " + " | ".join(UNITS[name][0] for name in shown) + " |",
        "| --- |" + " --- |" * len(shown),
    ]
    for lane, medians in case["medians"].items():
        cells = [f"{UNITS[name][1].format(medians[name])}{spread(case['spreads'][lane][name])}" for name in shown]
        lines.append(f"| {lane} | " + " | ".join(cells) + " |")
    return lines


def spread(value: float) -> str:
    """` ±n %`: half the distance between the extremes."""
    return f" ±{value * 50:.0f} %" if value else ""


def bound(target: dict[str, Any]) -> str:
    """The target as text."""
    limit = target["at_most"] if target["at_most"] is not None else target["at_least"]
    sign = "≤" if target["at_most"] is not None else "≥"
    stretch = "" if target["stretch"] is None else f" (stretch {number(target['stretch'], target)})"
    return f"{sign} {number(limit, target)}{stretch}"


def number(value: float, target: dict[str, Any]) -> str:
    """A bare number; small ratios as fractions."""
    limit = target["at_most"] if target["at_most"] is not None else target["at_least"]
    if limit < 0.02:
        return f"1/{1 / value:,.0f}" if value else "0"
    return f"{value:,.0f}" if value >= 20 else f"{value:.3g}"
