from __future__ import annotations

import inspect
import typing
from types import ModuleType

import pytest

import pybridge

from support.processes import PythonRunner


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


@pytest.mark.guarantee("P-12")
def test_import_starts_no_thread_needs_no_extra_and_is_silent(run_python: PythonRunner) -> None:
    snippet = """
        import sys, threading, os
        import pybridge
        extras = {"msgspec", "orjson", "rich", "matplotlib", "uvloop", "numpy"} & set(sys.modules)
        print(threading.active_count(), len(os.listdir("/proc/self/task")), sorted(extras))
    """
    assert run_python(snippet) == "1 1 []\n"
