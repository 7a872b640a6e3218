"""The watch for a client that leaves before its answer is whole, by the messages of an ASGI server."""

from __future__ import annotations

import asyncio
import contextlib

from pybridge import _pybridge
from pybridge._asgi_types import Receive

PATIENCE = 0.02
"""Seconds after which the server is asked whether the client has gone: most short answers need no task for that."""


class ClientWatch:
    """Abandons an exchange with the reason `client` when the server says that the client has gone.

    `failure` is what `receive` raised instead.
    """

    def __init__(self, receive: Receive, exchange: _pybridge.HttpExchange) -> None:
        self.failure: Exception | None = None
        self._receive = receive
        self._exchange = exchange
        self._task: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(PATIENCE, self._listen)

    def _listen(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        try:
            if not await self._goes():
                return
        except Exception as error:  # noqa: BLE001 - it is raised where the answer is sent
            self.failure = error
        self._exchange.abandon("client")

    async def _goes(self) -> bool:
        """Whether the client has gone; False: this `receive` will not say: it gives the end of a request twice."""
        ends = 0
        while (message := await self._receive())["type"] != "http.disconnect":
            ends += not message.get("more_body", False)
            if ends > 1:
                return False
        return True

    def leave(self) -> asyncio.Task[None] | None:
        """Listens no more; gives the task that did, which is cancelled. Nothing refers to it from here."""
        self._timer.cancel()
        task, self._task = self._task, None
        if task is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                task.cancel()
        return task
