"""At which addresses a server listens."""

from __future__ import annotations

import socket

import pytest

from support.serving import Starter


@pytest.mark.guarantee("D-03")
@pytest.mark.parametrize(("options", "refused"), [((), True), (("--host", "0.0.0.0"), False)])
def test_a_server_listens_on_loopback_unless_it_is_told_otherwise(
    serve: Starter, options: tuple[str, ...], refused: bool
) -> None:
    """127.0.0.2 is this machine as well, and stands for its other addresses."""
    program = serve("app:echo", "--port", "0", *options)
    with socket.socket() as client:
        assert bool(client.connect_ex(("127.0.0.2", program.port))) is refused
