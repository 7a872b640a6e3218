"""`pybridge serve`: what it serves, where, and what its options say."""

from __future__ import annotations

import dataclasses
import json
import re
import resource
import subprocess
from pathlib import Path

import httpx
import pytest

from pybridge import FlowConfig, Limits, PoolConfig, ServeOptions
from pybridge.config import MemoryConfig

from support import serving, skips
from support.processes import COMMAND, PythonRunner
from support.serving import Starter

SSE = {"Accept": "text/event-stream"}
STREAMS = r"\S+ \S+ INFO pybridge.server: \w+ streams items\n"


@pytest.mark.guarantee("D-01")
def test_a_handler_is_served_with_its_pages_and_ends_with_status_zero(serve: Starter) -> None:
    program = serve("app:echo", "--port", "0")
    assert program.post({"prompt": "Hello"}).text == '{"prompt":"Hello"}\n'
    assert program.post([1, 2], headers=SSE).text == "data: [1,2]\n\n"
    assert program.get("/health/live").json()["status"] == "ok"
    assert program.get("/health/ready").status_code == 200
    assert "pybridge_streams" in program.get("/metrics").text
    assert program.url.startswith("http://127.0.0.1:")
    program.signal().ended(0)
    assert program.out == f"pybridge: serving on {program.url}\n"
    assert re.match(STREAMS, program.log), program.log
    assert not program.err


def test_a_coroutine_function_returns_its_one_value(serve: Starter) -> None:
    assert serve("app:answer", "--port", "0").post(5, headers={"Accept": "application/json"}).json() == {"answer": 5}


@pytest.mark.guarantee("D-04")
def test_an_engine_is_served_with_its_lifespan(serve: Starter) -> None:
    program = serve("app:engine", "--port", "0")
    assert program.url
    program.said("echoes streams items\n")
    assert re.fullmatch(rf"entered\n{STREAMS}", program.log), program.log
    assert 'engine="echoes"' in program.get("/metrics").text
    program.signal().ended(0)
    assert program.err == "entered\nleft\n"


def test_options_of_the_protocol_reach_it(serve: Starter) -> None:
    program = serve(
        *("app:describe", "--port", "0", "--path", "/api/run", "--pass-header", "X-One", "--pass-header", "X-Two"),
        *("--max-body", "1KiB", "--no-health", "--no-metrics", "--uvloop", "--root-path", "/behind"),
    )  # fmt: skip
    headers = {"X-One": "1", "X-Two": "2", "Accept": "application/json"}
    (item,) = program.post({}, "/api/run", headers=headers).json()
    assert item["metadata"] == {"x-one": "1", "x-two": "2"}
    assert item["loop"].startswith("uvloop")
    assert program.post({}, "/behind/api/run").status_code == 200
    assert program.post("x" * 1024, "/api/run").status_code == 413
    pages = ("/health/live", "/health/ready", "/metrics", "/generate")
    assert {program.get(page).status_code for page in pages} == {404}


@pytest.mark.guarantee("W-31")
def test_openai_clients_are_answered(serve: Starter) -> None:
    program = serve("app:echo", "--port", "0", "--protocol", "openai", "--model", "small", "--model", "large")
    assert [model["id"] for model in program.get("/v1/models").json()["data"]] == ["small", "large"]


def test_settings_of_the_engine_are_options(serve: Starter) -> None:
    options = ("--flow-max-concurrency", "1", "--flow-max-queue", "0", "--limits-max-depth", "4")
    program = serve("app:paced", "--port", "0", *options, "--pool-zero-on-reuse", "yes", "--codec", "json")
    assert program.post([[[[[1]]]]]).status_code == 400
    endless = {"count": 0, "each": 0.01}
    with httpx.stream("POST", f"{program.url}/generate", json=endless, trust_env=False) as held:
        pieces = held.iter_bytes()
        assert next(pieces)
        assert program.post(endless).status_code == 503


@pytest.mark.guarantee("D-32")
def test_help_teaches_by_examples_and_has_every_field_of_the_settings(run_python: PythonRunner) -> None:
    text = run_python(COMMAND, "serve", "--help")
    for example in ("pybridge serve app:generate", "curl localhost:8000/generate --json", "exit status:", "signals:"):
        assert example in text
    assert text.count("\n  pybridge serve app:") == 3
    renamed = {
        "models": "model", "pass_headers": "pass-header", "cors_origins": "cors-origin", "api_keys": "api-key-env",
        "health": "no-health", "metrics": "no-metrics",
    }  # fmt: skip
    options = [renamed.get(name, name) for name in ServeOptions.__annotations__]
    for prefix, config in (("pool_", PoolConfig), ("flow_", FlowConfig), ("limits_", Limits), ("", MemoryConfig)):
        options += [f"{prefix}{field.name}" for field in dataclasses.fields(config)]
    missing = [name for name in options if f"--{name.replace('_', '-')} " not in text]
    assert not missing


def test_the_requests_of_the_help_are_answered(serve: Starter, run_python: PythonRunner) -> None:
    skips.without_curl()
    program = serve("app:echo", "--port", "0")
    text = run_python(COMMAND, "serve", "--help")
    commands = [line.strip() for line in text.splitlines() if line.startswith("  curl ")]
    printed = []
    for command in commands:
        here = command.replace("localhost:8000", f"127.0.0.1:{program.port}").replace(
            "curl", "curl -sS --noproxy '*'", 1
        )
        printed.append(subprocess.run(here, shell=True, capture_output=True, text=True, check=True).stdout)
    assert printed == ['[{"prompt":"Hello"}]', 'data: {"prompt":"Hello"}\n\n']


def test_a_command_line_without_docstrings_works(run_python: PythonRunner) -> None:
    assert "--max-body SIZE" in run_python(COMMAND, "serve", "--help", options=("-OO",))


@pytest.mark.guarantee("D-32")
def test_every_option_says_what_it_does_and_its_default(run_python: PythonRunner) -> None:
    text = run_python(COMMAND, "serve", "--help", environment={"COLUMNS": "400"})
    lines = re.sub(r"\n {20,}", "  ", text).splitlines()
    options = dict(re.split(r" {2,}", line.strip(), maxsplit=1) for line in lines if line.startswith("  --"))
    assert len(options) > 60
    assert "(default: 32MiB)" in options["--max-body SIZE"]
    assert "(default: 30)" in options["--drain-timeout SECONDS"]
    assert "(default: 1024)" in options["--flow-high-water-items N"]
    assert options["--flow-max-queue N|none"].endswith("none: no limit, 0: none may wait. (default: none)")
    assert options["--flow-low-water SIZE|none"].endswith("none: a quarter of --flow-high-water. (default: none)")
    told = re.compile(r"[.)]$")
    assert not [text for text in options.values() if not told.search(text) or text[0].islower()]


def test_the_file_limit_is_raised_to_what_is_allowed(serve: Starter) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    program = serve("app:echo", "--port", "0", preexec_fn=lower_the_limit)
    assert program.url
    limits = Path(f"/proc/{program.process.pid}/limits").read_text()
    (line,) = (line for line in limits.splitlines() if line.startswith("Max open files"))
    assert line.split()[3] == str(hard)


def lower_the_limit() -> None:
    """A soft limit as shells have it."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def test_logging_of_python_goes_to_standard_error_from_a_level_on(serve: Starter, folder: Path) -> None:
    (folder / "talking.py").write_text(
        "import logging\nlogging.info('an info')\nlogging.warning('a warning')\nasync def echo(request): yield 1\n"
    )
    program = serve("talking:echo", "--port", "0", "--log-level", "warning")
    assert program.url
    assert "a warning" in program.err
    assert "an info" not in program.err


def test_what_is_logged_beside_an_access_log_in_json_is_json_too(serve: Starter, folder: Path) -> None:
    failing = """
        import logging

        async def failing(request):
            logging.getLogger("app").warning("about to\\nfail")
            try:
                yield {"n": 1}[request]
            except KeyError:
                logging.getLogger("app").exception("caught")
                raise
    """
    serving.write(folder, "faulty.py", failing)
    program = serve("faulty:failing", "--port", "0", "--access-log", "json")
    program.post("x", headers={"X-Request-Id": "r-7"})
    program.said('"status"').signal().ended()
    lines = {line.get("message", "access"): line for line in map(json.loads, program.err.splitlines())}
    assert [message for message in lines if message != "access"][:3] == [
        "failing streams items",
        "about to\nfail",
        "caught",
    ]
    assert lines["about to\nfail"].items() >= {"level": "warning", "logger": "app"}.items()
    assert "request_id" not in lines["about to\nfail"]
    assert lines["caught"]["traceback"].startswith("Traceback (most recent call last)")
    told = lines["request r-7: the handler failed"]
    assert (told["level"], told["logger"], told["request_id"]) == ("error", "pybridge.handler", "r-7")
    assert told["traceback"].endswith("KeyError: 'x'")
    assert lines["access"]["request_id"] == "r-7"
