"""The command line: `pybridge serve`, `pybridge bench`, `pybridge doctor`."""

from __future__ import annotations

import argparse
import difflib
import os
import re
import sys
from collections.abc import Sequence

from pybridge import __version__, doctor
from pybridge._serve_command import cli as serve
from pybridge.bench import cli as bench
from pybridge.errors import PybridgeError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; gives the exit status: 0, 1 for a failure, 2 for a wrong command line, 130 for Ctrl-C."""
    parser, commands = _parsers()
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        command = commands[options.command]
        command.error(_unrecognized(unknown, command))
    options.arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        status = int(options.run(options))
        if sys.stdout is not None:
            sys.stdout.flush()
    except PybridgeError as error:
        print(f"pybridge: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads what is left to be written
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _unrecognized(arguments: Sequence[str], command: argparse.ArgumentParser) -> str:
    """Says which arguments a command does not have, and which options are meant by them."""
    options = re.findall(r"--[a-z][a-z-]*", command.format_help())
    near = [difflib.get_close_matches(each.partition("=")[0], options, n=1) for each in arguments if each[:2] == "--"]
    meant = [name for names in near for name in names]
    return f"unrecognized arguments: {' '.join(arguments)}" + (f": did you mean {', '.join(meant)}?" if meant else "")


def _parsers() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The parser of the command line, and those of its commands."""
    parser = argparse.ArgumentParser(
        prog="pybridge",
        description="Runs unmodified Python async generators for Rust.",
        epilog="Begin with: pybridge serve module:handler. Each command has its own --help.",
    )
    parser.add_argument("--version", action="version", version=f"pybridge {__version__}")
    commands = parser.add_subparsers(metavar="command", dest="command", required=True)
    serve.add_command(commands)
    measure = commands.add_parser("bench", help="measure a handler: the usual bridge against this one")
    bench.add_arguments(measure)
    measure.set_defaults(run=bench.main)
    doctor.add_command(commands)
    return parser, commands.choices
