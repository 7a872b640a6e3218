"""`pybridge bench`: every lane gives the same items, and what is wrong is said."""

from __future__ import annotations

import datetime as dt
import io
import json
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import pybridge
from pybridge.bench.report import memory_table, stream_table, time_text, verdict
from pybridge.bench.streams import COMPARED, add_ratios

SMALL = ("--items", "20", "--requests", "8", "--concurrency", "4", "--repeat", "1")

HANDLERS = """
import asyncio, itertools, pathlib

calls = itertools.count()
turn = 1 + len([*pathlib.Path().glob("turn*")])  # another number in every process
pathlib.Path(f"turn{turn}").touch()
engine = __import__("pybridge").PooledEngine(lambda request: None)

async def plain(request):
    for index in range(request["max_tokens"]):
        await asyncio.sleep(0)
        yield {"index": index, "text": "Grüße", "half": index / 2, "none": None}

async def tight(request):
    for index in range(640):
        yield index

async def with_context(request, context):
    yield {"has_id": isinstance(context.id, str)}

async def never_the_same(request):
    yield {"call": next(calls), "process": __import__("os").getpid()}

async def more_each_time(request):
    for number in range(turn):
        yield number

async def fails(request):
    yield 1
    raise LookupError("no such model")

async def endless(request):
    while True:
        await asyncio.sleep(0)
        yield 1

async def stuck(request):
    yield await asyncio.Event().wait()

async def slow_answer(request):
    return await asyncio.Event().wait()

async def answer(request, context):
    await asyncio.sleep(0)
    return {"text": "Grüße", "request": request}

async def silent(request):
    return
    yield

def synchronous(request):
    yield 1

async def talks(request):
    print("a handler may print")
    yield 1
"""


def bench(folder: Path, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    """Runs the command where the handlers are."""
    (folder / "app.py").write_text(HANDLERS)
    command = [sys.executable, "-m", "pybridge", "bench", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == status, f"{done.stdout}\n{done.stderr}"
    return done


def rows_of(path: Path) -> list[dict[str, Any]]:
    document = json.loads(path.read_text())
    assert document["schema"] == 1
    assert document["machine"]["cores"] >= 1
    rows: list[dict[str, Any]] = document["rows"]
    return rows


def test_all_lanes_give_the_demo_items_and_one_row_each(tmp_path: Path) -> None:
    lanes = "naive,bridge-thread,pooled,pooled-suspend,python,frames,chunks,items"
    report, picture = tmp_path / "out" / "bench.json", tmp_path / "bench.png"
    done = bench(tmp_path, *SMALL, "--repeat", "2", "--lanes", lanes, "--json", str(report), "--plot", str(picture))
    rows = rows_of(report)
    assert [row["lane"] for row in rows] == lanes.split(",")
    assert {row["items"] for row in rows} == {8 * 21}
    assert all(row["items_per_s"] > 0 and row["cpu_us_per_item"] >= 0 for row in rows)
    assert all(row["vs_naive"]["items_per_s"] > 0 for row in rows)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "bridge-thread" in done.stdout
    document = json.loads(report.read_text())
    assert set(document["lanes"]) == set(lanes.split(","))
    assert "pyo3-async-runtimes" in document["lanes"]["naive"]
    assert document["version"] == pybridge.__version__
    assert dt.datetime.fromisoformat(document["date"]).tzinfo == dt.UTC
    for row in rows:
        low, high = row["cpu_us_per_item_range"]
        assert low <= row["cpu_us_per_item"] <= high


def test_picture_says_what_the_lanes_are_and_where_its_figures_come_from(tmp_path: Path) -> None:
    picture = tmp_path / "bench.svg"
    bench(tmp_path, *SMALL, "--repeat", "2", "--lanes", "naive,pooled", "--plot", str(picture))
    text = " ".join(re.findall(r"<!-- (.*?) -->", picture.read_text()))
    assert "pooled: pybridge" in text
    assert "naive: the usual bridge: pyo3-async-runtimes" in text
    assert re.search(rf"pybridge {pybridge.__version__} \(\w+ build\), CPython {platform.python_version()}", text)
    assert f"{dt.datetime.now(dt.UTC).year}-" in text
    assert "range of 2 runs" in text


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_handler_of_ones_own_is_measured_with_its_request(tmp_path: Path, loop: str) -> None:
    request = tmp_path / "body.json"
    request.write_text(json.dumps({"max_tokens": 7}))
    report = tmp_path / "bench.json"
    lanes = ("--lanes", "naive,pooled,python")
    options = (*lanes, "--requests", "4", "--concurrency", "2", "--repeat", "1", "--loop", loop, "--codec", "json")
    bench(tmp_path, "app:plain", "--request", str(request), "--json", str(report), *options)
    assert {row["items"] for row in rows_of(report)} == {4 * 7}


def test_items_ends_a_stream_after_so_many(tmp_path: Path) -> None:
    report = tmp_path / "bench.json"
    request = tmp_path / "body.json"
    request.write_text(json.dumps({"max_tokens": 100_000}))
    options = ("--items", "3", "--requests", "2", "--concurrency", "1", "--repeat", "1", "--lanes", "naive,python")
    bench(tmp_path, "app:plain", "--request", str(request), "--json", str(report), *options)
    assert {row["items"] for row in rows_of(report)} == {2 * 3}


def test_a_handler_that_takes_a_context_gets_one_in_every_lane(tmp_path: Path) -> None:
    bench(tmp_path, "app:with_context", *SMALL)


def test_a_handler_that_returns_one_value_is_measured_in_every_lane(tmp_path: Path) -> None:
    lanes = "naive,bridge-thread,pooled,python,chunks"
    report = tmp_path / "bench.json"
    options = ("--requests", "6", "--concurrency", "2", "--repeat", "1", "--lanes", lanes, "--json", str(report))
    bench(tmp_path, "app:answer", "--unary", *options)
    assert [row["lane"] for row in rows_of(report)] == lanes.split(",")
    assert {row["items"] for row in rows_of(report)} == {6}


def test_lanes_of_pybridge_take_coroutine_functions_and_name_the_option_for_one_value(tmp_path: Path) -> None:
    options = ("--lanes", "pooled", "--requests", "1", "--concurrency", "1", "--repeat", "1")
    done = bench(tmp_path, "app:answer", *options, status=1)
    assert "problem: on the command line unary=True is --unary" in done.stdout


def test_lanes_with_other_items_are_reported_unless_only_their_number_counts(tmp_path: Path) -> None:
    done = bench(tmp_path, "app:never_the_same", *SMALL, "--lanes", "naive,python", status=1)
    assert (
        "problem: python gave other items than naive (a handler that never repeats itself: --check count)"
        in " ".join(done.stdout.split())
    )
    bench(tmp_path, "app:never_the_same", *SMALL, "--lanes", "naive,python", "--check", "count")


@pytest.mark.parametrize("check", ["exact", "count"])
def test_lanes_with_other_numbers_of_items_are_reported_unless_nothing_is_compared(tmp_path: Path, check: str) -> None:
    options = (*SMALL, "--lanes", "naive,python")
    done = bench(tmp_path, "app:more_each_time", *options[2:], "--check", check, status=1)
    assert "(a handler whose number of items varies: --check off)" in " ".join(done.stdout.split())
    bench(tmp_path, "app:more_each_time", *options, "--check", "off")


def test_a_handler_that_raises_is_reported_by_every_lane(tmp_path: Path) -> None:
    done = bench(tmp_path, "app:fails", *SMALL, status=1)
    assert "problem: naive, bridge-thread, pooled, python: LookupError: no such model" in done.stdout
    assert "if it is the request, which was {" in " ".join(done.stdout.split())
    memory = ("--memory", "--chars", "1000", "--lanes", "python", "--requests", "1", "--cycles", "1", "--idle", "0")
    done = bench(tmp_path, "app:fails", *memory, status=1)
    assert 'if it is the request, which was {"text": "..."}: give yours' in " ".join(done.stdout.split())


def test_an_endless_handler_is_given_up_and_the_remedy_named(tmp_path: Path) -> None:
    done = bench(tmp_path, "app:endless", "--timeout", "1", "--lanes", "naive,python", status=1)
    assert "naive: no result within 1 s; --items N reads only so many" in " ".join(done.stdout.split())
    assert "request" not in done.stdout, "what took too long has nothing to do with it"
    bench(tmp_path, "app:endless", *SMALL, "--lanes", "naive")


def test_what_the_command_line_says_already_is_no_remedy(tmp_path: Path) -> None:
    done = bench(
        tmp_path, "app:stuck", "--items", "1", "--requests", "2", "--timeout", "1", "--lanes", "naive", status=1
    )
    text = " ".join(done.stdout.split())
    assert "within 1 s; a smaller --requests sends fewer, --timeout S waits longer" in text
    assert "--items" not in text
    done = bench(tmp_path, "app:slow_answer", "--unary", "--timeout", "1", "--lanes", "python", status=1)
    assert "within 1 s; --timeout S waits longer" in " ".join(done.stdout.split())


def test_a_lane_that_cannot_start_says_nothing_of_the_request(tmp_path: Path) -> None:
    (tmp_path / "uvloop.py").write_text("raise ImportError")
    done = bench(tmp_path, "app:plain", "--loop", "uvloop", "--lanes", "python", status=1)
    assert "problem: python: uvloop is not installed" in done.stdout
    assert "--request" not in done.stdout


def test_a_handler_that_yields_nothing_is_not_measured(tmp_path: Path) -> None:
    done = bench(tmp_path, "app:silent", *SMALL, "--lanes", "pooled", status=1)
    assert "the handler yields nothing for this request" in done.stdout
    assert "items/s" not in done.stdout


def test_output_fits_a_terminal_of_eighty_columns_and_sums_itself_up(tmp_path: Path) -> None:
    done = bench(
        tmp_path, "--items", "50", "--requests", "8", "--concurrency", "1,8", "--repeat", "1", "--json", "x.json"
    )
    *tables, sentence, written = (line for line in done.stdout.rstrip().splitlines() if not line.startswith("note: "))
    assert max(map(len, tables)) <= 80
    assert "\u2026" not in done.stdout
    said = r"pybridge at 8 streams: \S+x the CPU of plain Python with an encoder .*; .* the usual bridge"
    assert re.match(said, sentence)
    assert written == "wrote x.json"


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (0, "0"),
        (0.2412, "241ns"),
        (9.96, "10us"),
        (4.66, "4.7us"),
        (999.6, "1.0ms"),
        (7_230, "7.2ms"),
        (31_400, "31ms"),
        (1.5e6, "1.5s"),
    ],
)
def test_times_have_two_digits_that_count(micros: float, text: str) -> None:
    assert time_text(micros) == text


def test_the_widest_row_fits_eighty_columns() -> None:
    times = dict.fromkeys(("first_item_p50_us", "first_item_p99_us", "gap_p50_us", "gap_p99_us"), 999.4)
    figures = {"items_per_s": 4_567_890.0, "cpu_us_per_item": 12.34, "switches_per_item": 12.345}
    console = Console(width=80, file=io.StringIO())
    console.print(stream_table([{"lane": "pooled-suspend", "concurrency": 1024, **figures, **times}], "widest"))
    assert isinstance(console.file, io.StringIO)
    assert "\u2026" not in console.file.getvalue()
    assert "999us/999us" in console.file.getvalue()


def test_the_widest_row_of_memory_fits_eighty_columns() -> None:
    figures = {"rss_mib": 23_456.0, "peak_mib": 23_456.0, "released_mib": 12_345.0, "release_ms": 999.0}
    rates = {"requests_per_s": 12_345.0, "cpu_ms_per_request": 999.0, "threads": 128, "arenas": 128}
    console = Console(width=80, file=io.StringIO())
    console.print(memory_table([{"lane": "pooled-suspend", "cycle": "idle", **figures, **rates}], "widest"))
    assert isinstance(console.file, io.StringIO)
    assert "\u2026" not in console.file.getvalue()
    assert "12,345 in 999ms" in console.file.getvalue()


def test_a_gap_of_zero_has_no_ratio() -> None:
    figures = dict.fromkeys(COMPARED, 2.0)
    rows: list[dict[str, Any]] = [
        {"lane": lane, "concurrency": 1, **figures, "gap_p50_us": gap}
        for lane, gap in (("naive", 4.0), ("pooled", 0.0), ("python", None))
    ]
    add_ratios(rows)
    assert [row["vs_naive"].get("gap_p50_us") for row in rows] == [1.0, None, None]
    add_ratios(list(reversed(rows)))
    assert all(row["vs_naive"]["gap_p99_us"] == 1.0 for row in rows)


def test_items_that_come_together_have_a_gap_of_zero(tmp_path: Path) -> None:
    report = tmp_path / "bench.json"
    options = (
        "--requests",
        "2",
        "--concurrency",
        "1",
        "--repeat",
        "1",
        "--lanes",
        "naive,pooled",
        "--json",
        str(report),
    )
    bench(tmp_path, "app:tight", *options)
    (pooled,) = (row for row in rows_of(report) if row["lane"] == "pooled")
    assert pooled["gap_p50_us"] == 0
    assert "gap_p50_us" not in pooled["vs_naive"]


def test_sentence_for_a_python_server_compares_with_what_such_a_server_does() -> None:
    row = {"concurrency": 16, "vs_naive": {}}
    rows = [row | {"lane": "plain-sse", "cpu_us_per_item": 2.0}, row | {"lane": "chunks", "cpu_us_per_item": 5.0}]
    said = "2.5x the CPU of plain Python with orjson per item, both without a server (3.0us more per item)"
    assert verdict(rows) == f"pybridge at 16 streams: {said}."
    assert not verdict(rows[:1])


def test_figures_of_a_debug_build_are_called_that(tmp_path: Path) -> None:
    report = tmp_path / "bench.json"
    done = bench(tmp_path, *SMALL, "--lanes", "python", "--json", str(report))
    debug = json.loads(report.read_text())["build"] == "debug"
    assert ("note: this is a debug build" in done.stdout) == debug


def test_what_a_handler_prints_disturbs_nothing(tmp_path: Path) -> None:
    done = bench(tmp_path, "app:talks", *SMALL, "--lanes", "naive,pooled,python")
    assert "a handler may print" not in done.stdout
    assert "a handler may print" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere:handler",), "No module named 'nowhere'"),
        (("app:absent",), "absent"),
        (("app",), "module:attribute"),
        (("app:calls",), "not a handler"),
        (("app:synchronous",), "wrap it in pybridge.from_sync()"),
        (("app:answer",), "say --unary if it returns one value"),
        (("app:plain", "--unary"), "app:plain is an async generator function"),
        (("app:engine",), "name the handler that it was made of"),
        (("--lanes", "fast"), "no lane is called 'fast'"),
        (("--concurrency", "0"), "above 0"),
        (("--request", "missing.json"), "missing.json"),
        (("--memory", "--min-gain", "foo"), "'foo' is not a size"),
        (("--memory", "--idle", "-1"), "a number of seconds is needed, not '-1'"),
        (("--memory", "--idle", "nan"), "a number of seconds is needed, not 'nan'"),
        (("--survivors",), "--survivors is an option of the memory workload"),
        (("--chars", "5"), "--chars is an option of the memory workload"),
    ],
)
def test_a_wrong_command_line_is_explained(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    assert said in bench(tmp_path, *arguments, status=2).stderr


@pytest.mark.parametrize("payload", ["text", "tree"])
def test_memory_has_a_row_for_each_cycle_the_rest_and_the_trim(tmp_path: Path, payload: str) -> None:
    report, picture = tmp_path / "memory.json", tmp_path / "memory.png"
    options = ("--chars", "20000", "--concurrency", "4", "--requests", "8", "--cycles", "2", "--idle", "0.2")
    bench(tmp_path, "--memory", "--payload", payload, *options, "--json", str(report), "--plot", str(picture))
    rows = rows_of(report)
    for lane in ("naive", "pooled", "python"):
        mine = [row for row in rows if row["lane"] == lane]
        assert [row["cycle"] for row in mine] == [0, 1, 2, "idle", "trim"]
        assert all(row["peak_mib"] >= row["rss_mib"] > 0 and row["threads"] >= 1 for row in mine)
        assert all(row["requests_per_s"] > 0 for row in mine[1:3])
    assert picture.read_bytes().startswith(b"\x89PNG")
