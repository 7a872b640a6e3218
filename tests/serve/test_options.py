"""Values that no option can have: each is refused by name, in Python and on the command line."""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest

from pybridge import ConfigError, PooledEngine, Server
from pybridge._field_checks import MAX_SECONDS
from pybridge._serve.process import prepare
from pybridge._serve.settings import WHERE, ServerSettings
from pybridge._serve.sockets import Place
from pybridge._serve_command import arguments, cli
from pybridge._serve_command.start_errors import StartError
from pybridge._sizes import MAX_SIZE

OPTIONS = [field.name for field in dataclasses.fields(ServerSettings)]
HOSTILE: list[Any] = [0, -1, math.nan, math.inf, 1e308, 2**64, -(10**5000), "", "\0", b"x", object(), [1], ["\0"], {}]
ZERO = ("drain_timeout", "drain_settle", "commit_after", "keepalive", "flush_interval")
TAKEN = {0: ZERO, "": ("path", "root_path")}
"""Those of the values that some options take."""


async def echo(request: Any) -> AsyncGenerator[Any, None]:
    yield request


@pytest.mark.parametrize("option", OPTIONS)
def test_a_value_that_cannot_be_is_refused_by_its_option_and_shown(option: str) -> None:
    engine = PooledEngine(echo)
    for value in HOSTILE:
        options: dict[str, Any] = {"protocol": "openai"} if option == "models" else {}
        options[option] = value
        if isinstance(value, int | str) and option in TAKEN.get(value, ()):
            prepare(engine, ServerSettings(**options))
            continue
        with pytest.raises(ConfigError) as refused:
            prepare(engine, ServerSettings(**options))
        assert refused.value.field == option
        reason = refused.value.reason
        assert len(reason) < 200, reason
        content = value[0] if isinstance(value, list) else value
        shown = [type(content).__name__, type(value).__name__, r'"\0"', "one far beyond"]
        if not isinstance(content, int) or abs(content) < 10**30:
            shown.append(repr(content))
        assert option == "api_keys" or any(text in reason for text in shown), reason


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("write_timeout", 1e308, "must be at most 315,360,000 seconds, not 1e+308"),
        ("write_timeout", math.nan, "must be a finite number of seconds, not nan"),
        ("max_connections", 2**64, f"must be between 1 and {MAX_SIZE}, not {2**64}"),
        ("max_connections", 0, "must be at least 1, not 0"),
        ("max_body", 2**64, f"a size lies between 0 and {MAX_SIZE} bytes, not {2**64}"),
        ("tls_cert", "a\0", "must be a path, not 'a\\x00'"),
        ("root_path", "/a b", "must not hold ' ', as \"/a b\" does"),
        ("path", "generate", 'must begin with a slash, not "generate"'),
    ],
)
def test_the_reason_has_the_value_and_what_may_be(option: str, value: Any, reason: str) -> None:
    with pytest.raises(ConfigError) as refused:
        prepare(PooledEngine(echo), ServerSettings(**{option: value}))
    assert (refused.value.field, refused.value.reason) == (option, reason)


async def test_the_longest_times_and_largest_numbers_can_be_served() -> None:
    most: dict[str, Any] = {"max_connections": MAX_SIZE, "max_body": MAX_SIZE}
    times = [field.name for field in dataclasses.fields(ServerSettings) if field.type == "float"]
    most.update(dict.fromkeys(times, MAX_SECONDS))
    most.update(dict.fromkeys(("drain_settle", "flush_interval"), 0))
    assert len(times) == 10
    async with Server(PooledEngine(echo), **most) as server, httpx.AsyncClient(trust_env=False) as http:
        assert (await http.post(f"{server.url}/generate", json=[1])).text == "[1]\n"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser()
    arguments.add_command(made.add_subparsers(), cli.run)
    return made


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "1e308", str(2**64), "", "no such thing"])
def test_the_command_line_refuses_by_the_option_as_it_is_typed(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    engine = PooledEngine(echo)
    names = [arguments.option_of("server", option) for option in OPTIONS]
    taken = set()
    for name in [*names, *(f"--{where}" for where in WHERE), "--workers", "--log-level"]:
        try:
            options = parser().parse_args(["serve", "app:echo", f"{name}={value}"])
            settings = cli._settings(options)
            with cli._as_start_error("server"):
                Place.of(*(getattr(options, where, None) for where in WHERE), default_port=0)
                prepare(engine, settings)
        except SystemExit as usage:
            assert usage.code == 2
            assert f"error: argument {name}: " in capsys.readouterr().err
        except StartError as refused:
            missing = {"--tls-cert": "--tls-key", "--tls-key": "--tls-cert"}.get(name, name)
            assert str(refused).startswith((f"{name}: ", f"{missing} is needed with {name}")), (name, refused)
        else:
            taken.add(name)
    assert not taken & {"--write-timeout", "--max-connections", "--workers", "--log-level", "--tls-cert"}
    assert ("--root-path" in taken) == (value == "")
