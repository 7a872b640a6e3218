"""Types of ASGI: scopes, messages, and the functions that pass messages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
"""What an ASGI server says of a connection."""

Message: TypeAlias = MutableMapping[str, Any]
"""What an ASGI server and an application tell each other."""

Receive: TypeAlias = Callable[[], Awaitable[Message]]
"""Gives the server's next message."""

Send: TypeAlias = Callable[[Message], Awaitable[None]]
"""Takes a message for the server."""

Header: TypeAlias = tuple[bytes, bytes]
"""Name and value."""
