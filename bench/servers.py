"""Server processes under the load of bench/http, and what they use of processors and memory."""

from __future__ import annotations

import ctypes
import json
import os
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Any, Self

from pybridge.bench.system import process_status

CRATE = Path(__file__).parent / "http"
PROGRAM = CRATE / "target" / "release" / "http_bench"
START_SECONDS = 30.0
IDLE_SECONDS = 15.0
LARGE_BODIES_TOGETHER = 96
TEXT_CHARS = 1_000_000
MEMORY_SETTINGS = {"PYBRIDGE_MEMORY_MIN_GAIN": "8MiB"}
"""Those of all memory figures of the project; by default up to 64 MiB stay until a release is worth it."""


def environment() -> dict[str, str]:
    """Where programs that embed the interpreter, or import the handlers, find what they need."""
    library = sysconfig.get_config_var("LIBDIR")
    return {**os.environ, "LD_LIBRARY_PATH": str(library), "PYTHONPATH": str(CRATE)}


def build() -> None:
    """Builds servers and load as programs elsewhere are built."""
    settings = {**environment(), "PYO3_PYTHON": sys.executable}
    subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=CRATE, env=settings, check=True)


def _processor_clock(pid: int) -> int:
    """The clock of a process's time on processors, in nanoseconds: `/proc` has hundredths of a second."""
    clock = ctypes.c_int()
    error = ctypes.CDLL(None).clock_getcpuclockid(pid, ctypes.byref(clock))
    if error:
        raise OSError(error, os.strerror(error))
    return clock.value


class Server:
    """One server over one handler, its children included; a context manager that ends it."""

    def __init__(self, command: list[str], port: int, settings: dict[str, str] | None = None) -> None:
        self.port = port
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=environment() | (settings or {}),
            cwd=CRATE,
        )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pid in reversed(self._pids()):
            os.kill(pid, 9)
        self.process.wait()

    def _pids(self) -> list[int]:
        found = [self.process.pid]
        for pid in found:
            found += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split())
        return found

    def cpu_seconds(self) -> float:
        """Time on processors so far, of all its threads, those that have ended included."""
        return sum(time.clock_gettime(_processor_clock(pid)) for pid in self._pids())

    def resident_mib(self) -> float:
        """Memory in RAM."""
        return sum(process_status(pid)["VmRSS"] for pid in self._pids()) / 1024

    def load(self, connections: int, requests: int, items: int | None, body: Any) -> dict[str, float]:
        """Sends requests and checks that every answer has so many events, or is one value of JSON (None).

        Gives the server's CPU for each item in us, items a second, and the client's times: to the first bytes of a body
        and between two arrivals of one answer, in us.
        """
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            file.write(json.dumps(body).encode())
            file.flush()
            before = self.cpu_seconds()
            counts = map(str, (self.port, connections, requests, "json" if items is None else items))
            output = subprocess.run(
                [str(PROGRAM), "load", *counts, file.name], check=True, stdout=subprocess.PIPE
            ).stdout
        found: dict[str, float] = json.loads(output)
        wanted = requests * (items or 1)
        if found["items"] != wanted:
            raise SystemExit(f"{found['items']} of {wanted} items came")
        spent = self.cpu_seconds() - before
        times = {key: value for key, value in found.items() if key.endswith("_us")}
        return {"cpu_us": spent / wanted * 1e6, "items_per_s": wanted / found["seconds"], **times}

    def kept_mib(self, cycles: int, requests: int, body: Any) -> float:
        """Memory above the start, some seconds after so many cycles of large requests for one item."""
        self.load(8, 16, 1, {"items": 1})
        start = self.resident_mib()
        for _ in range(cycles):
            self.load(LARGE_BODIES_TOGETHER, requests, 1, body)
        time.sleep(IDLE_SECONDS)
        return self.resident_mib() - start


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
