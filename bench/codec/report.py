"""The codec's results as a page to read."""

from typing import Any

HOW = "Medians of one interleaved run; the lanes of a case took turns. Trust the ratios, not the absolutes."

LANES = (
    "*pybridge* is the codec where streams use it, called from Rust, into pooled buffers. *pybridge, called* is "
    "`pybridge.encode` and `pybridge.decode`, called from Python by name as the others are, without the loop's own "
    "time. *reference* is what the usual bridge does: depythonize or pythonize with rmp-serde or serde_json in between."
)


def markdown(document: dict[str, Any]) -> str:
    """The page: the targets first, then every lane."""
    machine = document["machine"]
    lines = [
        "# The codec beside public encoders and decoders",
        "",
        f"{machine['cores']} cores of {machine['cpu']}, {machine['system']}, CPython {machine['python']}. " + HOW,
        "",
        LANES,
        "",
        "| case | against | target | measured | reached |",
        "| --- | --- | --- | --- | --- |",
    ]
    for case in document["cases"]:
        lines += [
            f"| {case['title']} | {target['against']} | {target['bound']} | {target['ratio']:.2f} "
            f"| {'yes' if target['reached'] else '**no**'} |"
            for target in case["targets"]
        ]
    for direction in ("encode", "decode"):
        lines += ["", f"## {direction.capitalize()}, microseconds", "", *_lanes(document, direction)]
    commands = sorted({f"`{case['command']}`, {case['measured_at']}" for case in document["cases"]})
    return "\n".join([*lines, "", *commands]) + "\n"


def _lanes(document: dict[str, Any], direction: str) -> list[str]:
    lines = []
    for wire in ("msgpack", "json"):
        cases = [case for case in document["cases"] if (case["format"], case["direction"]) == (wire, direction)]
        if not cases:
            continue
        names = list(dict.fromkeys(name for case in cases for name in case["medians"]))
        lines += [f"| {wire} | " + " | ".join(names) + " |", "| --- |" + " --- |" * len(names)]
        for case in cases:
            own = case["medians"]["pybridge"]
            cells = []
            for name in names:
                if name not in case["medians"]:
                    cells.append("-")
                    continue
                median = case["medians"][name]
                ratio = "" if name == "pybridge" else f" ({median / own:.2f} x)"
                cells.append(f"{median / 1000:,.2f} ±{case['spreads'][name] * 50:.0f} %{ratio}")
            lines.append(f"| {case['payload']} | " + " | ".join(cells) + " |")
        lines.append("")
    return lines
