from __future__ import annotations

import inspect
import typing
from types import ModuleType

import pytest

import pybridge


def test_every_public_name_exists_and_nothing_else_is_public() -> None:
    visible = {
        name for name, value in vars(pybridge).items() if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert visible | {"__version__"} == set(pybridge.__all__)


@pytest.mark.parametrize("name", pybridge.__all__)
def test_public_name_is_documented(name: str) -> None:
    assert inspect.getdoc(getattr(pybridge, name))


@pytest.mark.parametrize("kind", [pybridge.PoolConfig, pybridge.FlowConfig, pybridge.Limits, pybridge.EngineStats])
def test_annotations_resolve(kind: type) -> None:
    assert typing.get_type_hints(kind)
