"""Prometheus' text exposition format, read strictly."""

from __future__ import annotations

import re

SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (-?[0-9.e+-]+|\+Inf|NaN)')


def parse(text: str) -> dict[str, dict[str, float]]:
    """Reads an exposition strictly: each metric once, help and type before its samples, no sample twice."""
    metrics: dict[str, dict[str, float]] = {}
    lines = iter(text.splitlines())
    name = kind = ""
    for line in lines:
        if line.startswith("# HELP "):
            name = line.split(" ", 3)[2]
            assert name not in metrics
            metrics[name] = {}
            declared, kind = next(lines).removeprefix("# TYPE ").split(" ")
            assert declared == name
            assert kind in {"counter", "gauge", "histogram"}
            assert (kind == "counter") == name.endswith("_total")
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            suffix = match[1].removeprefix(name)
            assert suffix in ({"_bucket", "_sum", "_count"} if kind == "histogram" else {""})
            labels = ",".join(filter(None, (suffix, match[2])))
            assert labels not in metrics[name]
            metrics[name][labels] = float(match[3])
    return metrics
