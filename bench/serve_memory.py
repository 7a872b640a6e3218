"""Sends large requests to servers over real sockets, and writes bench/results/serve-memory.{json,md,png}: what their
processes keep. With another CPython than 3.11 bench/results/serve-memory-3.X.{json,md,png}.

python -m bench.serve_memory                 text and trees, about half an hour
python -m bench.serve_memory --only text     one of them; the other keeps its last result

Each server in a process of its own: five cycles of 1,000 requests of a megabyte, 96 at a time, then 15 s without work.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

from bench.result_files import before, row, stamp, stored, target, target_row, write
from bench.serve_cases import WAYS, start
from bench.servers import IDLE_SECONDS, LARGE_BODIES_TOGETHER, MEMORY_SETTINGS, TEXT_CHARS, Server, build

CYCLES = 5
REQUESTS = 1000
SAMPLE_SECONDS = 0.25
KEPT_MIB = 16.0
GROWTH = 1.05
SERVERS = ("serve", "uvicorn", "granian", "uvicorn-asgi", "by-hand")
PLAIN = "uvicorn"
"""The server without pybridge that is asked to release what is free, for the floor of trees."""

BODIES: dict[str, Any] = {
    "text": {"prompt": "x" * TEXT_CHARS},
    "trees": {
        "rows": [{"id": index, "name": f"row {index}", "tags": ["a", "b"], "score": 0.5} for index in range(15_000)]
    },
}


class Timeline(threading.Thread):
    """Looks at a server's memory from time to time."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self.server = server
        self.samples: list[tuple[float, float]] = []
        self._over = threading.Event()

    def run(self) -> None:
        """Samples until it is told to stop."""
        began = time.monotonic()
        while not self._over.wait(SAMPLE_SECONDS):
            self.samples.append((time.monotonic() - began, self.server.resident_mib()))

    def stop(self) -> list[tuple[float, float]]:
        """The samples: seconds, MiB."""
        self._over.set()
        self.join()
        return self.samples


def measure(way: str, name: str, cycles: int, requests: int) -> dict[str, Any]:
    """One server through all cycles."""
    with start(way, "single", MEMORY_SETTINGS) as server:
        server.load(8, 16, 1, {"items": 1})
        before = server.resident_mib()
        timeline = Timeline(server)
        timeline.start()
        after, loads = [], []
        for _ in range(cycles):
            loads.append(server.load(LARGE_BODIES_TOGETHER, requests, 1, BODIES[name]))
            after.append(server.resident_mib())
        time.sleep(IDLE_SECONDS)
        idle = server.resident_mib()
        samples = timeline.stop()
        released = None
        if way == PLAIN:
            with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/release") as answer:
                answer.read()
            released = server.resident_mib()
    return {
        "server": way,
        "start_mib": before,
        "after_mib": after,
        "peak_mib": max(mib for _, mib in samples),
        "kept_mib": idle - before,
        "released_mib": None if released is None else released - before,
        "cpu_ms": sum(load["cpu_us"] for load in loads) / len(loads) / 1000,
        "requests_per_s": sum(load["items_per_s"] for load in loads) / len(loads),
        "timeline": [(round(at, 2), round(mib, 1)) for at, mib in samples],
    }


def targets(name: str, servers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is to be reached."""
    found = {server["server"]: server for server in servers}
    ours, others = found["serve"], [found[way] for way in SERVERS if way != "serve"]
    floor = found[PLAIN]["released_mib"] if name == "trees" else 0.0
    steady = ours["after_mib"][-1] / ours["after_mib"][min(1, len(ours["after_mib"]) - 2)]
    lines = [
        ("resident after the last cycle / after the second", steady, GROWTH, True),
        (f"MiB kept {IDLE_SECONDS:g} s later, above the start", ours["kept_mib"], max(floor, 0.0) + KEPT_MIB, True),
        ("peak / least of the others", ours["peak_mib"] / min(each["peak_mib"] for each in others), 1.0, True),
        ("CPU a request / least of the others", ours["cpu_ms"] / min(each["cpu_ms"] for each in others), 1.0, True),
        (
            "requests/s / most of the others",
            ours["requests_per_s"] / max(each["requests_per_s"] for each in others),
            1.0,
            False,
        ),
    ]
    return [target(text, value, bound, is_most=is_most) for text, value, bound, is_most in lines]


SETTING = f"""\
{REQUESTS:,} requests a cycle, {LARGE_BODIES_TOGETHER} at a time, {CYCLES} cycles; text is one string of
{TEXT_CHARS:,} characters, trees are 15,000 rows of objects, about a megabyte of JSON. MiB resident of the whole
server process; *kept* is {IDLE_SECONDS:g} s after the last request, above the start.
`PYBRIDGE_MEMORY_MIN_GAIN=8MiB`, as in all memory figures here.
"""


def markdown(document: dict[str, Any], picture: str) -> str:
    """The results as a page to read."""
    of = document["machine"]
    lines = [
        "# Memory of servers under large requests",
        "",
        f"{of['cores']} cores of {of['cpu']}, {of['system']}, CPython {of['python']}.",
        SETTING,
        f"![Resident memory over time]({picture})",
    ]
    for name, payload in document["payloads"].items():
        lines += ["", f"## {name.capitalize()}", "", row("figure", "measured", "target", "reached"), row(*["---"] * 4)]
        lines += map(target_row, payload["targets"])
        heads = (
            "server",
            "start",
            "after each cycle",
            "peak",
            "kept",
            "kept, released",
            "CPU ms/request",
            "requests/s",
        )
        lines += ["", row(*heads), row(*["---"] * len(heads))]
        lines += map(_server, payload["servers"])
    return "\n".join([*lines, "", f"`{document['command']}`, {document['measured_at']}", ""])


def _server(found: dict[str, Any]) -> str:
    released = found["released_mib"]
    return row(
        WAYS[found["server"]],
        f"{found['start_mib']:.0f}",
        ", ".join(f"{mib:.0f}" for mib in found["after_mib"]),
        f"{found['peak_mib']:.0f}",
        f"{found['kept_mib']:.1f}",
        "" if released is None else f"{released:.1f}",
        f"{found['cpu_ms']:.2f}",
        f"{found['requests_per_s']:,.0f}",
    )


def plot(document: dict[str, Any], path: Path) -> None:
    """Resident memory over time, one panel a payload and one line a server."""
    import matplotlib as mpl  # noqa: PLC0415 - only here, and slow

    mpl.use("agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    payloads = document["payloads"]
    figure, panels = plt.subplots(
        1, len(payloads), figsize=(6.5 * len(payloads), 4.8), layout="constrained", squeeze=False
    )
    for axis, (name, payload) in zip(panels[0], payloads.items(), strict=True):
        for server in payload["servers"]:
            is_ours = server["server"] == "serve"
            seconds, mib = zip(*server["timeline"], strict=True)
            axis.plot(seconds, mib, label=WAYS[server["server"]].replace("`", ""), linewidth=2.5 if is_ours else 1.2)
        axis.set(title=f"{name}, {LARGE_BODIES_TOGETHER} at a time", xlabel="seconds", ylim=(0, None))
        axis.grid(alpha=0.3)
    panels[0][0].set_ylabel("resident memory, MiB")
    panels[0][-1].legend(fontsize="small")
    figure.suptitle(
        f"{CYCLES} cycles of {REQUESTS:,} requests of a megabyte, then {IDLE_SECONDS:g} s without work",
        fontsize="medium",
    )
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> int:
    """Measures, writes, and says which figures are not reached: exit status 1 if any."""
    parser = argparse.ArgumentParser(prog="python -m bench.serve_memory", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--only", default="", help="text or trees")
    parser.add_argument("--cycles", type=int, default=CYCLES, help=f"cycles of requests ({CYCLES})")
    parser.add_argument("--requests", type=int, default=REQUESTS, help=f"requests of a cycle ({REQUESTS})")
    args = parser.parse_args()
    build()
    file = stored("serve-memory")
    payloads = before("serve-memory").get("payloads", {})
    for name in BODIES:
        if name.startswith(args.only):
            servers = []
            for way in SERVERS:
                print(f"{name}, {way} ...", file=sys.stderr, flush=True)
                servers.append(measure(way, name, args.cycles, args.requests))
            payloads[name] = {"servers": servers, "targets": targets(name, servers)}
    document = {
        **stamp("bench.serve_memory"),
        "payloads": {name: payloads[name] for name in BODIES if name in payloads},
    }
    picture = file.with_suffix(".png")
    plot(document, picture)
    page = markdown(document, picture.name)
    write("serve-memory", document, page)
    print(page)
    found = [each for payload in document["payloads"].values() for each in payload["targets"]]
    return 0 if all(each["reached"] for each in found) else 1


if __name__ == "__main__":
    sys.exit(main())
