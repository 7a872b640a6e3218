"""Addresses at which a server listens, Unix sockets, and descriptors that it is given."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import httpx
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


@pytest.mark.guarantee("D-24")
def test_a_unix_socket_is_made_replaces_a_dead_one_and_is_removed(serve: Starter, folder: Path) -> None:
    path = folder / "run.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    program = serve("app:echo", "--uds", "run.sock")
    assert program.url == "unix:run.sock"
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path))) as client:
        assert client.post("http://here/generate", json=1).text == "1\n"
    second = serve("app:echo", "--uds", "run.sock").ended(2)
    assert second.err == "pybridge: cannot listen on run.sock: Address already in use\n"
    program.signal().ended(0)
    assert not path.exists()


@pytest.mark.guarantee("D-24")
def test_a_socket_that_was_replaced_is_left_alone(serve: Starter, folder: Path) -> None:
    program = serve("app:echo", "--uds", "run.sock")
    assert program.url
    path = folder / "run.sock"
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        program.signal().ended(0)
        assert stat.S_ISSOCK(path.stat().st_mode)


@pytest.mark.guarantee("D-24")
def test_a_descriptor_that_listens_is_taken(serve: Starter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.fileno()
        program = serve("app:echo", "--fd", str(number), pass_fds=[number])
        assert program.port == listener.getsockname()[1]
        assert program.post(1).text == "1\n"


@pytest.mark.guarantee("D-24")
def test_sockets_of_systemd_are_taken(run: Starter) -> None:
    launcher = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.executable, [sys.executable, "-m", "pybridge", "serve", "app:echo"])
"""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        program = run("-c", launcher, str(listener.fileno()), pass_fds=[listener.fileno()])
        assert program.port == listener.getsockname()[1]
        assert program.post(1).text == "1\n"


def test_a_name_stands_for_all_its_addresses_with_one_port(serve: Starter) -> None:
    program = serve("app:echo", "--host", "localhost", "--port", "0")
    addresses = {str(found[4][0]) for found in socket.getaddrinfo("localhost", None, type=socket.SOCK_STREAM)}
    for address in addresses:
        with socket.create_connection((address, program.port)):
            pass
