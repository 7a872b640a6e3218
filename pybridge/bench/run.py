"""`pybridge bench` from its checked options to tables, JSON and plots."""

import argparse
import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pybridge.bench import floor, memory, plot, report, streams
from pybridge.bench.names import DEFAULT, MEMORY_DEFAULT
from pybridge.bench.targets import DEMO


def stream_workload(args: argparse.Namespace, request: Any) -> int:
    """The stream workload."""
    handler = args.handler or DEMO
    item_limit = args.items
    own_request = request is not None
    if not own_request:
        request = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": args.items or 256}
        if handler == DEMO:
            item_limit = None
    workload = streams.Workload(handler, floor.encoder(args.codec)(request), item_limit, args.codec, args.unary)
    settings = streams.Settings(
        lanes=args.lanes or DEFAULT,
        concurrency=args.concurrency or (1, 16, 64),
        requests=args.requests,
        loop=args.loop,
        repeat=args.repeat,
        check=args.check,
        timeout=args.timeout,
    )
    with progress(streams.steps(settings)) as (console, step):
        found = streams.measure(workload, settings, step)
    if found.rows:
        console.print(report.stream_table(found.rows, f"{handler}, {args.loop}, {args.codec}"))
    if any("vs_naive" in row for row in found.rows):
        console.print()
        console.print(report.factor_table(found.rows))
    if found.rows and (verdict := report.verdict(found.rows)):
        console.print(f"\n{verdict}", soft_wrap=True, highlight=False)
    add_hints(args, found, handler == DEMO or own_request, json.dumps(request))
    if args.json:
        described = dataclasses.asdict(settings) | {
            "handler": handler,
            "unary": args.unary,
            "codec": args.codec,
            "request": request,
        }
        report.write_json(args.json, found.rows, described, found.problems)
    if args.plot and found.rows:
        plot.plot_streams(args.plot, found.rows, f"{handler}, {args.loop}, {args.codec}")
    report.print_build(console)
    tell_files(console, args)
    report.print_problems(console, found.problems)
    return 1 if found.problems else 0


def memory_workload(args: argparse.Namespace, request: Any) -> int:
    """The memory workload."""
    settings = memory.Settings(
        lanes=args.lanes or MEMORY_DEFAULT,
        payload=args.payload,
        chars=args.chars,
        concurrency=(args.concurrency or (96,))[0],
        requests=args.requests or 1000,
        cycles=args.cycles,
        idle=args.idle,
        loop=args.loop,
        handler=args.handler,
        request=request,
        unary=args.unary,
        survivors=args.survivors,
        memory={
            "idle_release": args.idle_release,
            "min_gain": args.min_gain,
            "python_allocator": args.python_allocator,
            "tune_malloc": args.tune_malloc,
        },
    )
    with progress(memory.steps(settings)) as (console, step):
        found = memory.measure(settings, step)
    add_hints(args, found, args.handler is None or request is not None, memory.sketch(settings.payload))
    title = f"{settings.concurrency} requests of {settings.chars:,} characters ({settings.payload}) at a time"
    console.print(report.memory_table(found.rows, title))
    if args.json:
        report.write_json(args.json, found.rows, dataclasses.asdict(settings), found.problems)
    if args.plot and found.timelines:
        plot.plot_memory(args.plot, found.timelines, title)
    report.print_build(console)
    tell_files(console, args)
    report.print_problems(console, found.problems)
    return 1 if found.problems else 0


def add_hints(args: argparse.Namespace, found: streams.Report | memory.Report, fits: bool, request: str) -> None:
    """Adds to the problems what may help; `fits`: the request is one that the handler knows."""
    if found.request_may_be_wrong and not fits:
        found.problems.append(f"if it is the request, which was {request}: give yours with --request FILE.json")
    if not args.unary and any("unary=True" in problem for problem in found.problems):
        found.problems.append("on the command line unary=True is --unary")


def tell_files(console: Console, args: argparse.Namespace) -> None:
    """Where the figures and the picture are."""
    written = [str(path) for path in (args.json, args.plot) if path and path.exists()]
    if written:
        console.print(f"wrote {' and '.join(written)}", soft_wrap=True, highlight=False, markup=False)


@contextmanager
def progress(total: int) -> Iterator[tuple[Any, Callable[[str], None]]]:
    """A bar on standard error, gone when done, and a console for the result on standard output."""
    columns = (
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        started = False

        def step(label: str) -> None:
            nonlocal started
            bar.update(task, advance=1 if started else 0, description=label)
            started = True

        yield Console(), step
