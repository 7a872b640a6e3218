"""Options of the server, those of the protocol included."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

from pybridge._field_checks import choice, count, seconds, shown, switch
from pybridge._http_options import HttpOptions, Protocol, text, texts
from pybridge._settings import Settings, setting
from pybridge.engine import PooledEngine
from pybridge.errors import ConfigError

AccessLog: TypeAlias = Literal["off", "text", "json"]
"""What is written to standard error of each request: nothing, a line, or a JSON object."""

WHERE = ("host", "port", "uds", "fd")
"""What is said beside these options."""

PathText: TypeAlias = str | os.PathLike[str]
"""A path of a file."""


class ServeOptions(TypedDict, total=False):
    """Options of `serve` and `Server`.

    Attributes:
        protocol: `"generic"`: a request is a POST of the handler's request, the answer its items. `"openai"`: the
            endpoints of OpenAI's API for chat, completions and models.
        path: Where calls go: `/generate`, or for OpenAI's paths what they begin with, `/v1`.
        models: Names that OpenAI's clients may ask for; none: any.
        health: Answer `/health/live` and `/health/ready`; on unless turned off.
        metrics: Answer `/metrics`, in the text format of Prometheus; on unless turned off.
        max_body: Longest body of a request; a longer one gets status 413, and so does one over the engine's own
            `Limits.max_frame_bytes`.
        max_timeout: Most seconds that a client may ask for with `X-Request-Timeout`.
        commit_after: Seconds that the head of a streamed answer waits for the first item or the failure.
        keepalive: Seconds of silence after which server-sent events get a comment. 0: never.
        flush_interval: At most one chunk in so many seconds; 0: each as it comes.
        pass_headers: Headers of the request that become `Context.metadata`, under their names in lower case.
        root_path: What a proxy puts before all paths; it is taken off where it is there.
        drain_timeout: Seconds that live requests have when the server is told to stop; then they are cancelled with
            the reason `shutdown`.
        drain_settle: Seconds of serving on before that, while `/health/ready` says 503 already: until load balancers
            have noticed.
        header_timeout: Seconds that a client has for TLS and the head of its first request, or the preface of
            HTTP/2, and for each head it begins.
        body_timeout: Seconds in which a client has to send the next 4 KiB of a request's body, or its end; else it is
            told 408.
        idle_timeout: Seconds that a connection may wait for its next request, one of HTTP/2 also for its first.
        write_timeout: Seconds that a client may take nothing of what waits for it.
        max_connections: Connections at one time; the next one waits to be accepted.
        tls_cert: File with the certificate chain, in PEM; with `tls_key` the server speaks HTTPS.
        tls_key: File with the private key of it, in PEM.
        cors_origins: Origins whose pages may read the answers; `*`: all.
        api_keys: Keys of which clients must send one, as `Authorization: Bearer` or `X-API-Key`; none: they need none.
            The pages of health need none either.
        forwarded_allow_ips: Addresses and networks of proxies whose `X-Forwarded-For` and `Forwarded` the access log
            believes; `*`: all. By default 127.0.0.1, which the other end of a Unix socket counts as, and ::1.
        access_log: What is written to standard error of each request: `"off"`, `"text"` or `"json"`.
    """

    protocol: Protocol
    path: str | None
    models: Sequence[str]
    health: bool
    metrics: bool
    max_body: int | str
    max_timeout: float
    commit_after: float
    keepalive: float
    flush_interval: float
    pass_headers: Sequence[str]
    root_path: str
    drain_timeout: float
    drain_settle: float
    header_timeout: float
    body_timeout: float
    idle_timeout: float
    write_timeout: float
    max_connections: int
    tls_cert: PathText | None
    tls_key: PathText | None
    cors_origins: Sequence[str]
    api_keys: Sequence[str]
    forwarded_allow_ips: Sequence[str]
    access_log: AccessLog


def check_call(caller: str, engine: object, options: Mapping[str, object]) -> None:
    """Refuses what `caller`, a public function or class, does not take.

    Raises:
        TypeError: It is no engine, or an option does not exist.
    """
    if not isinstance(engine, PooledEngine):
        given = f"a value of type {type(engine).__name__}"
        raise TypeError(f"{caller} takes a PooledEngine, not {given}: PooledEngine(handler) makes one")
    for name in options:
        if name not in ServeOptions.__annotations__:
            near = difflib.get_close_matches(name, [*ServeOptions.__annotations__, *WHERE], n=1)
            raise TypeError(f"{caller} has no option {name!r}" + (f": did you mean {near[0]!r}?" if near else ""))


def _root_path(value: object) -> str:
    """A text; which letters it may have the server knows, as for all paths."""
    return text(value).rstrip("/")


def file_path(value: object) -> str:
    """A path that the system can take."""
    try:
        path = os.fspath(value)  # type: ignore[call-overload]
    except TypeError:
        path = None
    if not isinstance(path, str) or not path or "\0" in path:
        raise ValueError(f"must be a path, not {shown(value)}")
    return path


def _file(value: object) -> str | None:
    """A path or None. An empty text is neither: a variable that is not set must not make a server speak plain HTTP."""
    return None if value is None else file_path(value)


def _keys(value: object) -> tuple[str, ...]:
    """Keys that a header can carry; no message shows one."""
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(key, str) for key in value):
        raise ValueError("must be a sequence of texts")
    if not all(key and all("!" <= letter <= "~" for letter in key) for key in value):
        raise ValueError("a key must be printable ASCII without spaces, and not empty")
    return tuple(value)


@dataclass(frozen=True, slots=True)
class ServerSettings(HttpOptions):
    """The options of a server, checked; see `ServeOptions`.

    Raises:
        ConfigError: A value that cannot be, naming its field.
    """

    health: bool = setting(True, switch)
    metrics: bool = setting(True, switch)
    root_path: str = setting("", _root_path)
    drain_timeout: float = setting(30.0, seconds(zero=True))
    drain_settle: float = setting(0.0, seconds(zero=True))
    header_timeout: float = setting(5.0, seconds())
    body_timeout: float = setting(30.0, seconds())
    idle_timeout: float = setting(60.0, seconds())
    write_timeout: float = setting(30.0, seconds())
    max_connections: int = setting(10_000, count(1))
    tls_cert: str | None = setting(None, _file)
    tls_key: str | None = setting(None, _file)
    cors_origins: tuple[str, ...] = setting((), texts)
    api_keys: tuple[str, ...] = setting((), _keys)
    forwarded_allow_ips: tuple[str, ...] = setting(("127.0.0.1", "::1"), texts)
    access_log: AccessLog = setting("off", choice("off", "text", "json"))

    if TYPE_CHECKING:

        def __init__(self, **options: Any) -> None: ...

    def __post_init__(self) -> None:
        Settings.__post_init__(self)
        if (self.tls_cert is None) != (self.tls_key is None):
            missing, given = ("tls_key", "tls_cert") if self.tls_key is None else ("tls_cert", "tls_key")
            raise ConfigError(missing, f"is needed with {given}")

    def tls(self) -> tuple[bytes, bytes] | None:
        """The certificate chain and its key, read from their files; None: the server speaks plain HTTP.

        Raises:
            ConfigError: A file cannot be read, naming its option.
        """
        if self.tls_cert is None or self.tls_key is None:
            return None
        return _contents("tls_cert", self.tls_cert), _contents("tls_key", self.tls_key)


def _contents(option: str, path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - a path as it was given, for the message
            return file.read()
    except OSError as error:
        raise ConfigError(option, f"{path}: {error.strerror or error}") from None
