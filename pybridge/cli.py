"""The command line: `pybridge serve`, `pybridge bench`, `pybridge doctor`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from pybridge import __version__, doctor
from pybridge._serve_command import cli as serve
from pybridge.bench import cli as bench
from pybridge.errors import PybridgeError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; gives the exit status: 0, 1 for a failure, 2 for a wrong command line."""
    options = _parser().parse_args(arguments)
    options.arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        status = int(options.run(options))
        sys.stdout.flush()
    except PybridgeError as error:
        print(f"pybridge: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads what is left to be written
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pybridge",
        description="Runs unmodified Python async generators for Rust.",
        epilog="Begin with: pybridge serve module:handler. Each command has its own --help.",
    )
    parser.add_argument("--version", action="version", version=f"pybridge {__version__}")
    commands = parser.add_subparsers(metavar="command", required=True)
    serve.add_command(commands)
    measure = commands.add_parser("bench", help="measure a handler: the usual bridge against this one")
    bench.add_arguments(measure)
    measure.set_defaults(run=bench.main)
    doctor.add_command(commands)
    return parser
