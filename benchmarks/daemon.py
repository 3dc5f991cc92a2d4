"""The daemon's resident memory with ten targets, and seconds until it answers."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.report import Goal, table

HOST: Final = "127.0.0.1"
_LITESERVERS: Final = 8
_PROVIDERS: Final = 2
_STARTS: Final = 7
_WATCHED: Final = 20.0
"""Seconds of watching before memory is read."""


@contextmanager
def _simulated() -> Iterator[Path]:
    """A simulated network; yields a configuration that watches it."""
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [
                sys.executable,
                *("-m", "tonwatch", "simulate"),
                *("--liteservers", str(_LITESERVERS), "--providers", str(_PROVIDERS)),
            ],
            stdout=subprocess.PIPE,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            os.set_blocking(process.stdout.fileno(), True)
            path = Path(folder, "tonwatch.yaml")
            path.write_bytes(_first_output(process.stdout.fileno()))
            yield path
        finally:
            process.terminate()


def _first_output(file: int) -> bytes:
    """The output until nothing is printed for a while."""
    output = os.read(file, 1 << 16)
    os.set_blocking(file, False)
    quiet = time.monotonic() + 0.5
    while time.monotonic() < quiet:
        try:
            output += os.read(file, 1 << 16)
        except BlockingIOError:
            time.sleep(0.01)
    return output


@contextmanager
def _daemon(config: Path) -> Iterator[tuple[subprocess.Popen[bytes], int, float]]:
    """A daemon; yields its process, its port, and the seconds until /live was answered."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tonwatch", "run", "--config", str(config)]
    settings = {"SERVE__HOST": HOST, "SERVE__PORT": str(port), "READINESS__DRAIN_DELAY": "0s"}
    environment = os.environ | {f"TONWATCH_{key}": value for key, value in settings.items()}
    began = time.perf_counter()
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            while _status(port, "/live") != http.client.OK:
                if process.poll() is not None:
                    raise RuntimeError(f"tonwatch ended with exit code {process.returncode}")
                time.sleep(0.001)
            yield process, port, time.perf_counter() - began
        finally:
            process.send_signal(signal.SIGTERM)


def _status(port: int, path: str) -> int | None:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
    except OSError:
        return None
    else:
        return response.status
    finally:
        connection.close()


def _memory(process: int) -> dict[str, int]:
    """Resident bytes now and at most."""
    fields = dict(
        line.split(":", 1)
        for line in Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    )
    return {name: int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM")}


def measure() -> tuple[str, list[Goal]]:
    """Start it several times, then run it for a while; returns the table and the goals."""
    with _simulated() as config:
        starts = []
        for _ in range(_STARTS):
            with _daemon(config) as (_, _, seconds):
                starts.append(seconds)
        with _daemon(config) as (process, port, _):
            until = time.monotonic() + _WATCHED
            while time.monotonic() < until:
                # Like Prometheus, the kubelet and a browser.
                for path in ("/metrics", "/ready", "/health"):
                    _status(port, path)
                time.sleep(1)
            memory = _memory(process.pid)
    start, resident = median(starts), memory["VmRSS"] / (1 << 20)
    rows = [
        ["", "median", "worst"],
        ["exec to first answered /live", f"{start:.3f} s", f"{max(starts):.3f} s"],
        [
            f"resident memory, {_LITESERVERS + _PROVIDERS} targets",
            f"{resident:.1f} MiB",
            f"{memory['VmHWM'] / (1 << 20):.1f} MiB",
        ],
    ]
    text = (
        f"tonwatch run: {_STARTS} starts; memory after {_WATCHED:.0f} s of watching"
        f" {_LITESERVERS} liteservers and\n{_PROVIDERS} providers, with /metrics, /ready and"
        " /health queried each second.\n" + table(rows)
    )
    return text, [
        Goal("resident memory", "< 80 MiB", f"{resident:.1f} MiB", resident < 80),
        Goal("exec to first answered /live", "< 1 s", f"{start:.3f} s", start < 1),
    ]
