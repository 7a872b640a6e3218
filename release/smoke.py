"""Shows that an installed wheel works: run it isolated, as `python -I -W error release/smoke.py`."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pybridge
from pybridge import PooledEngine

VALUE = {"text": "naïve ✓", "numbers": [0, -1, 2**63, 1.5], "none": None, "nested": {"bytes": b"\x00\xff"}}


async def words(request: dict[str, Any]) -> AsyncIterator[dict[str, str]]:
    """One item per word; fails at the word `fail`, waits for ever at `wait`."""
    for word in request["prompt"].split():
        if word == "fail":
            raise LookupError(word)
        if word == "wait":
            await asyncio.Event().wait()
        yield {"token": word}


async def streams() -> None:
    """Items, framed chunks, a handler's exception and a cancelled handler, on the caller's loop."""
    async with PooledEngine(words) as engine:
        items = [item async for item in engine({"prompt": "Hello pooled world"})]
        assert items == [{"token": word} for word in ("Hello", "pooled", "world")]
        chunks = [bytes(chunk) async for chunk in engine.chunks({"prompt": "Hello"}, codec="json", framing="sse")]
        assert b"".join(chunks) == b'data: {"token":"Hello"}\n\n'
        try:
            async for _ in engine({"prompt": "one fail"}):
                pass
        except LookupError as error:
            assert error.args == ("fail",)
        else:
            raise AssertionError("the handler's exception was lost")
        async with engine({"prompt": "one wait"}) as stream:
            async for item in stream:
                assert item == {"token": "one"}
                break


def main() -> None:
    """Runs every check; an exception says which failed."""
    assert not (Path(pybridge.__file__).parents[1] / "Cargo.toml").exists(), "the source tree, not the wheel"
    for codec in ("msgpack", "json"):
        value = VALUE if codec == "msgpack" else {**VALUE, "nested": {}}
        assert pybridge.decode(pybridge.encode(value, codec=codec), codec=codec) == value
    asyncio.run(streams())
    engine = PooledEngine(words, worker="dedicated")
    assert [item["token"] for item in engine.iter({"prompt": "on its own thread"})] == ["on", "its", "own", "thread"]
    assert engine.stats().pool.live_bytes == 0
    engine.close()
    libc = " ".join(platform.libc_ver()) or "musl"
    print(f"pybridge {pybridge.__version__} works on CPython {platform.python_version()}, {libc}, {platform.machine()}")


if __name__ == "__main__":
    main()
