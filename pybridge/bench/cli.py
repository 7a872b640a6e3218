"""`pybridge bench`: its options, and what it does with them."""

import argparse
import contextlib
import importlib.util
import json
import math
import sys
from pathlib import Path
from typing import Any

from pybridge._sizes import parse_size
from pybridge.bench.names import DEFAULT, DESCRIPTIONS, MEMORY_DEFAULT
from pybridge.bench.targets import DEMO, check

EXTRA = ("matplotlib", "msgspec", "orjson", "rich")

MEMORY_ONLY: dict[str, Any] = {
    "payload": "text",
    "chars": 1_000_000,
    "cycles": 3,
    "survivors": False,
    "idle_release": "all",
    "min_gain": "8MiB",
    "python_allocator": "leave",
    "tune_malloc": False,
    "idle": 10.0,
}
"""Options that only the memory workload has, and their defaults."""

EPILOG = f"""\
examples:
  pybridge bench                                     the built-in demo handler, four lanes, about two minutes
  pybridge bench app:generate --request body.json    your handler, with your request
  pybridge bench app:generate --check count          ... when it does not give the same items every time
  pybridge bench app:answer --unary                  ... when it returns one value instead of yielding
  pybridge bench --lanes naive,pooled --concurrency 64 --json out.json --plot out.png
  pybridge bench --memory --payload tree             large requests: what stays resident afterwards
  pybridge bench --memory --payload tree --survivors --python-allocator system

lanes:
{chr(10).join(f"  {name:<15} {text}" for name, text in DESCRIPTIONS.items())}

reading the result:
  CPU/item is the processor time of the whole process, all threads: what one item costs you.
  Compare figures inside one run only; the second table is the ratio to naive. `python` is what the handler itself
  costs, with an encoder and no bridge. A handler that waits for a model is bound by it: look at CPU, not items/s.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `pybridge bench`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = "Measures a handler through every lane, each in its own process, repeats interleaved."
    parser.epilog = EPILOG
    parser.add_argument("handler", nargs="?", metavar="module:handler", help=f"the handler ({DEMO})")
    parser.add_argument(
        "--lanes",
        type=lanes,
        metavar="A,B",
        help=f"lanes to run ({','.join(DEFAULT)}; --memory: {','.join(MEMORY_DEFAULT)})",
    )
    parser.add_argument("--concurrency", type=numbers, metavar="N,M", help="streams at a time (1,16,64; --memory: 96)")
    parser.add_argument(
        "--unary", action="store_true", help="the handler is a coroutine function that returns one value"
    )
    parser.add_argument("--request", type=Path, metavar="FILE.json", help="the request each stream gets, as JSON")
    parser.add_argument(
        "--items",
        type=positive,
        metavar="N",
        help="items per stream: of the demo, or to read of your handler (256; all)",
    )
    parser.add_argument(
        "--requests", type=positive, metavar="N", help="requests per run (as fill 0.4 s; --memory: 1000 per cycle)"
    )
    parser.add_argument(
        "--timeout", type=positive, default=60, metavar="S", help="seconds to wait for one run before giving up (60)"
    )
    parser.add_argument("--repeat", type=positive, default=5, metavar="N", help="runs of each; medians are shown (5)")
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio", help="event loop (asyncio)")
    parser.add_argument(
        "--codec", choices=("msgpack", "json"), default="msgpack", help="format of the frames (msgpack)"
    )
    parser.add_argument(
        "--check",
        choices=("exact", "count", "off"),
        default="exact",
        help="how the lanes' outputs are compared; count: only the number of items (exact)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures, schema 1")
    parser.add_argument("--plot", type=picture, metavar="FILE.png", help="draw them; also as .svg or .pdf")
    memory = parser.add_argument_group("memory", "resident memory under large requests, each lane in a fresh process")
    parser.set_defaults(**MEMORY_ONLY)
    memory.add_argument("--memory", action="store_true", help="run the memory workload")
    memory.add_argument("--payload", choices=("text", "tree"), help="a text, or a tree of small dicts (text)")
    memory.add_argument("--chars", type=positive, metavar="N", help="size of a request (1000000)")
    memory.add_argument("--cycles", type=positive, metavar="N", help="bursts of requests (3)")
    memory.add_argument(
        "--survivors", action="store_true", help="one small object of each request lives on, as in a cache"
    )
    memory.add_argument(
        "--idle-release",
        choices=("malloc", "all", "off"),
        help="what pybridge gives back when idle (all)",
    )
    memory.add_argument(
        "--min-gain", type=size, metavar="SIZE", help="... if so much is resident that was not before (8MiB)"
    )
    memory.add_argument(
        "--python-allocator",
        choices=("leave", "system"),
        help="system: Python's small objects come from malloc in pybridge's lanes (leave)",
    )
    memory.add_argument("--tune-malloc", action="store_true", help="large blocks are mappings of their own there")
    memory.add_argument("--idle", type=seconds, metavar="S", help="seconds of rest at the end (10)")


def lanes(text: str) -> tuple[str, ...]:
    """A list of lanes."""
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in DESCRIPTIONS:
            raise argparse.ArgumentTypeError(f"no lane is called {name!r}; there are {', '.join(DESCRIPTIONS)}")
    return names


def positive(text: str) -> int:
    """A number above 0."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"a number above 0 is needed, not {text!r}")
    return int(text)


def seconds(text: str) -> float:
    """A number of seconds."""
    with contextlib.suppress(ValueError):
        if 0 <= (number := float(text)) < math.inf:
            return number
    raise argparse.ArgumentTypeError(f"a number of seconds is needed, not {text!r}")


def size(text: str) -> str:
    """The text of a size."""
    try:
        parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def picture(text: str) -> Path:
    """The path of a picture that can be drawn."""
    path = Path(text)
    if path.suffix not in {".png", ".svg", ".pdf"}:
        raise argparse.ArgumentTypeError(f"a picture is .png, .svg or .pdf, not {text!r}")
    return path


def numbers(text: str) -> tuple[int, ...]:
    """A list of numbers above 0."""
    return tuple(positive(part) for part in text.split(","))


def _request(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _refuse_memory_only(args: argparse.Namespace) -> None:
    for name, default in MEMORY_ONLY.items():
        if getattr(args, name) != default:
            raise ValueError(f"--{name.replace('_', '-')} is an option of the memory workload: say --memory as well")


def main(args: argparse.Namespace) -> int:
    """Runs the benchmark. Returns the exit status: 0, 1 when a lane failed or outputs differ, 2 for wrong options."""
    missing = [name for name in EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        print(f"pybridge bench needs {', '.join(missing)}: pip install 'pybridge-engine[bench]'", file=sys.stderr)
        return 2
    try:
        if not args.memory:
            _refuse_memory_only(args)
        check(args.handler or DEMO, args.lanes or (MEMORY_DEFAULT if args.memory else DEFAULT), unary=args.unary)
        request = _request(args.request) if args.request else None
    except (OSError, TypeError, ValueError) as error:
        print(f"pybridge bench: {error}", file=sys.stderr)
        return 2
    from pybridge.bench import run  # noqa: PLC0415 - needs the extra packages, which the other commands do without

    return run.memory_workload(args, request) if args.memory else run.stream_workload(args, request)
