"""Sockets that a server listens on: by address, by path, or as they were handed over."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

from pybridge._field_checks import count, shown
from pybridge._serve.settings import file_path
from pybridge.errors import ConfigError

T = TypeVar("T")

BACKLOG = 4096
"""Connections that the system keeps before they are accepted."""

MAX_DESCRIPTOR = 2**31 - 1
"""The largest number that a descriptor can have."""

FIRST_PASSED = 3
"""The first descriptor that systemd hands over."""


@dataclass(frozen=True)
class Place:
    """Where a server listens: at a path, on a socket that there is already, or else at an address."""

    host: str
    port: int
    uds: str | None
    fd: int | None

    @classmethod
    def of(cls, host: object, port: object, uds: object, fd: object, *, default_port: int) -> Self:
        """The one place that is given; None stands for what is not given.

        Raises:
            ConfigError: There are two, or one can be no address, no path or no descriptor.
        """
        values = {"host": host, "port": port, "uds": uds, "fd": fd}
        given = [name for name, value in values.items() if value is not None]
        if len(given) > 1 and given != ["host", "port"]:
            raise ConfigError(given[-1], f"excludes {given[0]}: give one place to listen at")
        return cls(
            "127.0.0.1" if host is None else _name(host),
            default_port if port is None else _checked("port", count(0, 65_535), port),
            None if uds is None else _checked("uds", file_path, uds),
            None if fd is None else _descriptor(fd),
        )


class Listeners:
    """Sockets that are bound; they take connections once `listen` was called.

    Attributes:
        urls: Where they are reached, one for each socket.
    """

    def __init__(self, sockets: list[socket.socket], *, tls: bool, made: str | None = None) -> None:
        self._sockets = sockets
        self._made = None if made is None else (made, Path(made).stat().st_ino)
        self._scheme = "https" if tls else "http"

    @classmethod
    def of(cls, place: Place, *, tls: bool) -> Self:
        """Binds an address or a path, or takes the socket that has this descriptor.

        Raises:
            OSError: That cannot be had; the message names it.
        """
        if place.fd is not None:
            return cls([inherited(place.fd)], tls=tls)
        if place.uds is not None:
            return cls([_unix(place.uds)], tls=tls, made=place.uds)
        return cls(_tcp(place.host, place.port), tls=tls)

    @property
    def urls(self) -> list[str]:
        """Where they are reached, one for each socket: `http://127.0.0.1:8000`, `unix:/run/app.sock`."""
        return [_url(found, self._scheme) for found in self._sockets]

    @property
    def ports(self) -> list[int]:
        """The ports of those that have one."""
        return [found.getsockname()[1] for found in self._sockets if found.family != socket.AF_UNIX]

    def listen(self) -> None:
        """Takes connections from now on; the system keeps them until they are accepted.

        Raises:
            OSError: Somebody else listens there meanwhile.
        """
        if self._made is not None:
            with _naming(self._made[0]):
                if not self._has_its_file():
                    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        for found in self._sockets:
            with _naming(_url(found, self._scheme)):
                found.listen(BACKLOG)

    def detach(self) -> list[int]:
        """Descriptors of the sockets, which belong to the caller from now on."""
        descriptors = [found.detach() for found in self._sockets]
        self._sockets = []
        return descriptors

    def descriptors(self) -> list[int]:
        """Descriptors of the sockets, which stay here."""
        return [found.fileno() for found in self._sockets]

    def close(self) -> None:
        """Closes what was not detached, and removes the socket's file if it is the one that was made here."""
        for found in self._sockets:
            found.close()
        self._sockets = []
        if self._made is not None:
            with contextlib.suppress(OSError):
                if self._has_its_file():
                    Path(self._made[0]).unlink()

    def _has_its_file(self) -> bool:
        """Whether the file at the socket's path is the one that was made here."""
        return self._made is not None and Path(self._made[0]).stat().st_ino == self._made[1]


def passed_by_systemd() -> list[int]:
    """Descriptors that systemd has opened for this process; empty: none. They are not found a second time."""
    pid, number = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not number.isdecimal():
        return []
    return list(range(FIRST_PASSED, FIRST_PASSED + int(number)))


def inherited(descriptor: int, *, listens: bool = True) -> socket.socket:
    """The socket for connections that has this descriptor; `listens`: somebody has made it listen.

    Raises:
        OSError: It is none; the message names it.
    """
    with _naming(f"descriptor {descriptor}"):
        if descriptor < 0:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        found = socket.socket(fileno=descriptor)
        fits = found.type == socket.SOCK_STREAM and found.family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)
        if not fits or (listens and not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)):
            found.detach()
            raise OSError(errno.EINVAL, "no socket that listens for connections")
    found.set_inheritable(False)
    return found


def _descriptor(value: object) -> int:
    if type(value) is not int or not 0 <= value <= MAX_DESCRIPTOR:
        raise ConfigError("fd", f"must be the number of a descriptor, not {shown(value)}")
    return value


def _name(value: object) -> str:
    reason = f"must be a name or an address, not {shown(value)}"
    if not isinstance(value, str) or not value:
        raise ConfigError("host", f"{reason}; 0.0.0.0 and :: are all addresses")
    try:
        value.encode("idna")
    except UnicodeError:
        raise ConfigError("host", reason) from None
    if "\0" in value:
        raise ConfigError("host", reason)
    return value


def _checked(name: str, check: Callable[[object], T], value: object) -> T:
    try:
        return check(value)
    except ValueError as error:
        raise ConfigError(name, str(error)) from None


def _tcp(host: str, port: int) -> list[socket.socket]:
    """Sockets for all addresses of a host, with one port for all."""
    with _naming(f"{host}:{port}"):
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        addresses = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
        sockets: list[socket.socket] = []
        missing: OSError | None = None
        try:
            for family, address in addresses:
                chosen = sockets[0].getsockname()[1] if sockets else port
                try:
                    sockets.append(_bound(family, (address[0], chosen, *address[2:]), alone=len(addresses) == 1))
                except OSError as error:
                    # A name may have addresses of a family that this machine does not have.
                    if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                        raise
                    missing = error
        except OSError:
            for bound in sockets:
                bound.close()
            raise
        if not sockets and missing is not None:
            raise missing
    return sockets


def _bound(family: socket.AddressFamily, address: tuple[object, ...], *, alone: bool) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6 and not alone:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
    except BaseException:
        made.close()
        raise
    return made


def _unix(path: str) -> socket.socket:
    """A socket at a path. The file that a server has left which does not run any more is replaced."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _naming(path):
            try:
                made.bind(path)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                if not _is_socket(path):
                    raise OSError(errno.EEXIST, "there is something else than a socket") from None
                if not _is_left_behind(path):
                    raise
                Path(path).unlink()
                made.bind(path)
    except BaseException:
        made.close()
        raise
    return made


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(Path(path).stat().st_mode)
    except FileNotFoundError:  # a link to what is not there
        return False


def _is_left_behind(path: str) -> bool:
    """True of a socket's file on which nobody listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


def _url(found: socket.socket, scheme: str) -> str:
    address = found.getsockname()
    if found.family == socket.AF_UNIX:
        return f"unix:{address if isinstance(address, str) else os.fsdecode(address)}"
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"{scheme}://{host}:{address[1]}"


@contextlib.contextmanager
def _naming(what: str) -> Iterator[None]:
    """Makes what the system says name what it is about."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, f"cannot listen on {what}: {error.strerror or error}") from None
