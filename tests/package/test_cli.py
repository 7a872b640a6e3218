from __future__ import annotations

import importlib.metadata

import pytest

from support.processes import COMMAND, PythonRunner


def test_reader_that_stops_reading_ends_the_command_quietly(run_python: PythonRunner) -> None:
    run_python(
        """
        import os, subprocess, sys
        reader, writer = os.pipe()
        os.close(reader)
        command = [sys.executable, "-m", "pybridge", "doctor"]
        done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
        os.close(writer)
        assert (done.returncode, done.stderr) == (1, ""), done
        """
    )


def test_wrong_environment_of_other_commands_is_one_line_and_status_one(run_python: PythonRunner) -> None:
    snippet = """
        import sys
        from pybridge import cli, doctor, PoolConfig
        doctor.run = lambda options: PoolConfig()  # any command that needs the settings
        sys.exit(cli.main(["doctor"]))
    """
    environment = {"PYBRIDGE_POOL_SEGMENT_BYTES": "huge"}
    run_python(snippet, status=1, stderr="pybridge: segment_bytes: 'huge'", environment=environment)


@pytest.mark.parametrize("arguments", [[], ["fly"], ["doctor", "--fly"]])
def test_wrong_command_line_is_status_two_with_the_usage(run_python: PythonRunner, arguments: list[str]) -> None:
    run_python(COMMAND, *arguments, status=2, stderr="usage: pybridge")


def test_package_runs_as_a_module_and_tells_its_version(run_python: PythonRunner) -> None:
    snippet = "import runpy, sys; sys.argv[0] = 'pybridge'; runpy.run_module('pybridge', run_name='__main__')"
    name, version = run_python(snippet, "--version").split()
    assert name == "pybridge"
    assert version == importlib.metadata.version("pybridge-engine")


def test_bench_without_its_extra_names_what_to_install(run_python: PythonRunner) -> None:
    snippet = """
        import importlib.util, sys
        find = importlib.util.find_spec
        importlib.util.find_spec = lambda name, package=None: None if name == "rich" else find(name, package)
        from pybridge.cli import main
        sys.exit(main(["bench"]))
    """
    run_python(snippet, status=2, stderr="pybridge bench needs rich: pip install 'pybridge-engine[bench]'")
