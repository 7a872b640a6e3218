"""Interpreters that pybridge cannot run in."""

from __future__ import annotations

import importlib.util

import pytest

from support.processes import PythonRunner

FREE_THREADED = pytest.mark.parametrize(
    "facts",
    [
        "sysconfig.get_config_vars()['Py_GIL_DISABLED'] = 1",
        "sysconfig.get_config_vars()['Py_GIL_DISABLED'] = 1; sys._is_gil_enabled = lambda: True",
        "sys._is_gil_enabled = lambda: False",
    ],
    ids=["built without the lock", "lock switched on", "lock switched off"],
)


@pytest.mark.guarantee("P-11")
@FREE_THREADED
def test_free_threaded_python_is_refused_before_the_extension_is_loaded(run_python: PythonRunner, facts: str) -> None:
    run_python(
        f"""
        import sys, sysconfig
        {facts}
        try:
            import pybridge
        except ImportError as error:
            assert "free-threaded" in str(error), error
        else:
            raise SystemExit("pybridge was imported")
        assert not [name for name in sys.modules if name.endswith("_pybridge")]
        """
    )


@pytest.mark.guarantee("P-11")
@FREE_THREADED
def test_free_threaded_python_is_refused_by_the_extension_itself(run_python: PythonRunner, facts: str) -> None:
    extension = importlib.util.find_spec("pybridge._pybridge")
    assert extension
    assert extension.origin
    run_python(
        f"""
        import importlib.util, sys, sysconfig
        {facts}
        spec = importlib.util.spec_from_file_location("pybridge._pybridge", sys.argv[1])
        try:
            spec.loader.exec_module(importlib.util.module_from_spec(spec))
        except ImportError as error:
            assert "free-threaded" in str(error), error
        else:
            raise SystemExit("the extension was loaded")
        """,
        extension.origin,
    )


def test_an_interpreter_that_has_its_lock_is_taken(run_python: PythonRunner) -> None:
    run_python(
        """
        import sys, sysconfig
        sysconfig.get_config_vars()["Py_GIL_DISABLED"] = 0
        sys._is_gil_enabled = lambda: True
        import pybridge
        """
    )


@pytest.mark.guarantee("P-11")
def test_subinterpreter_is_refused(run_python: PythonRunner) -> None:
    """By an `ImportError` that says so; the main interpreter goes on."""
    run_python(
        """
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        import pybridge

        async def handler(request):
            yield request

        engine = pybridge.PooledEngine(handler, worker="dedicated")
        assert list(engine.iter(1)) == [1]
        snippet = (
            "try: import pybridge\\n"
            "except ImportError as error: assert 'subinterpreter' in str(error), error\\n"
            "else: raise SystemError"
        )
        ident = interpreters.create()
        assert not (getattr(interpreters, "exec", None) or interpreters.run_string)(ident, snippet)
        interpreters.destroy(ident)
        assert list(engine.iter(2)) == [2]
        """
    )
