"""Servers that are started with standard input, output or error closed, as some launchers do."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from support.serving import Starter

WORKERS = ((), ("--workers", "2"))


def closing(*descriptors: int) -> Callable[[], None]:
    """What a child does before the program starts."""

    def close() -> None:
        for descriptor in descriptors:
            os.close(descriptor)

    return close


@pytest.mark.guarantee("D-23")
@pytest.mark.parametrize("workers", WORKERS, ids=["alone", "workers"])
@pytest.mark.parametrize("closed", [(0,), (2,), (0, 2)], ids=str)
def test_a_server_serves_and_none_of_its_sockets_gets_the_number_of_a_closed_stream(
    serve: Starter, closed: tuple[int, ...], workers: tuple[str, ...]
) -> None:
    program = serve("app:echo", "--port", "0", *workers, preexec_fn=closing(*closed))
    assert program.post({"n": 1}).status_code == 200
    for descriptor in closed:
        opened = Path(f"/proc/{program.process.pid}/fd/{descriptor}").readlink()
        # The newest C library keeps the file of a library where it finds a number free.
        assert opened == Path(os.devnull) or ".so" in opened.suffixes
    program.signal().ended(0)


@pytest.mark.parametrize("workers", WORKERS, ids=["alone", "workers"])
def test_without_standard_output_the_reason_of_a_failed_start_is_told_as_ever(
    serve: Starter, workers: tuple[str, ...]
) -> None:
    program = serve("nowhere:echo", "--port", "0", *workers, preexec_fn=closing(1)).ended(2)
    assert program.err.startswith("pybridge: cannot import nowhere:echo: there is no module 'nowhere'")
