"""docs/settings.md is true."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import pybridge
from pybridge import Context, FlowConfig, Limits, Worker

PAGE = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()


@pytest.mark.parametrize("settings", [FlowConfig, Limits])
def test_every_field_is_told_with_its_default(settings: Any) -> None:
    section = PAGE.split(f"`{settings.__name__}`\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| `(.+?)` \|", section, re.MULTILINE)
    told = {name: ast.literal_eval(default) for name, default in rows}
    assert list(told) == [field.name for field in dataclasses.fields(settings)]
    assert settings(**told) == settings()


def test_everything_of_a_context_is_told() -> None:
    section = PAGE.split("`Context`\n")[1]
    assert {name for name in dir(Context) if not name.startswith("_")} <= set(re.findall(r"`(\w+)(?:\(\))?`", section))


def test_signatures_are_as_told() -> None:
    assert f"`Worker{inspect.signature(Worker)}`".replace("'", '"') in PAGE
    assert list(inspect.signature(pybridge.configure_runtime).parameters) == ["workers"]
