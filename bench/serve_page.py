"""The figures of `bench.serve` as a page to read."""

from __future__ import annotations

from typing import Any

from bench.result_files import bound_text, row, said
from bench.serve_cases import ITEMS, WAYS

SETTING = f"""\
Streams of {ITEMS} OpenAI chunks as server-sent events over HTTP/1.1 on loopback, with a client that is another process;
medians of interleaved runs, CPU of the whole server process. Every answer is checked. Trust the ratios, not the
absolutes.
"""

HEADS = (
    "server",
    "CPU us/item",
    "items/s",
    "first item p50 ms",
    "first item p99 ms",
    "gap p50 ms",
    "gap p99 ms",
)


def markdown(document: dict[str, Any]) -> str:
    """The results: targets first, then each case."""
    of = document["machine"]
    lines = [
        "# `pybridge serve` beside other servers",
        "",
        f"{of['cores']} cores of {of['cpu']}, {of['system']}, CPython {of['python']}.",
        SETTING,
        "| case | figure | measured | target | reached |",
        "| --- | --- | --- | --- | --- |",
        *(_target(case, target) for case in document["cases"] for target in case["targets"]),
        "",
    ]
    for case in document["cases"]:
        lines += ["", f"## {case['title']}", "", row(*HEADS), row(*("---" for _ in HEADS))]
        lines += [_server(case, way) for way in WAYS if way in case["servers"]]
    return "\n".join([*lines, "", f"`{document['command']}`, {document['measured_at']}", ""])


def _target(case: dict[str, Any], target: dict[str, Any]) -> str:
    low, high = target["range"]
    measured = f"{target['value']:.2f} ({low:.2f} to {high:.2f})"
    return row(case["title"], target["name"], measured, bound_text(target), said(reached=target["reached"]))


def _server(case: dict[str, Any], way: str) -> str:
    found = case["servers"][way]
    times = [f"{found[f'{what}_{at}_us'] / 1000:.2f}" for what in ("first", "gap") for at in ("p50", "p99")]
    cpu = f"{found['cpu_us']:.2f} ±{case['spreads'][way] * 50:.0f} %"
    return row(WAYS[way], cpu, f"{found['items_per_s']:,.0f}", *times)
