"""Run the whole program under random faults, with one viewer that watches it.

`rtmag stream` with the real model and the web view, a process of its own, shows a real RTSP server
(Debian's GStreamer) through a proxy. Every 30 to 90 s one fault is injected: the connection is cut
or drops all packets for 5 s, the server restarts with another picture size, or one packet in a
hundred is damaged for 10 s. Checked are the time until new pictures arrive, that the process keeps
running, its memory, file descriptors and threads, and its latency between the faults.

    python -m benchmarks.chaos [--minutes 30] [--out FILE.json] [--plot FILE.png]

The last line of stdout is one JSON document. The exit code is 1 if a limit is exceeded.
"""

import json
import math
import os
import random
import re
import subprocess
import sys
import threading
import time
from bisect import bisect
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import psutil
import typer
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Origin

from benchmarks.soak import plot_samples
from rtmag.realtime.environment import commit, machine
from tests.support.servers import ChaosProxy, RtspServer

SIZES = ((320, 240), (240, 180))
FPS = 15
FAULT_SECONDS = 5.0
NEXT_FAULT = (30.0, 90.0)
"""Seconds from the end of a fault to the next one: minimum and maximum."""
LIMIT = 2.5 + 1.0
"""Seconds from the end of a fault to a new picture; one second is for the start of the server."""
SAMPLE_EVERY = 5.0
WARM = 1 / 3
"""Share of the run that is not checked, at its start, when each fault occurs for the first time."""
CALM = 5.0
"""Seconds after a fault whose latencies are not counted."""
ALLOWED_MB_PER_HOUR = 1.0
ALLOWED_P99 = 1.1
"""Limit of the 99th percentile of latency in the second half, relative to the first half."""
ALLOWED_CALM_MS = 100.0
"""Limit of the median latency between two faults; a fault must not leave a lasting delay."""
ALLOWED_SHARE = 0.78
"""Smallest share of the pictures that must arrive while packets are damaged."""
CORRUPT = "1 % corrupt"


Row = dict[str, Any]


class Viewer(threading.Thread):
    """Receive pictures and status like a browser; record the time of the newest picture."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.pictures = 0
        self.newest = 0.0
        self.status: Row = {}
        self.disconnected = False
        origin = Origin(url.rstrip("/"))
        self._socket = connect(url.replace("http", "ws") + "ws", origin=origin)

    def run(self) -> None:
        """Receive until the server closes the connection."""
        with suppress(ConnectionClosed):
            for message in self._socket:
                if isinstance(message, bytes):
                    self.pictures, self.newest = self.pictures + 1, time.monotonic()
                else:
                    self.status = json.loads(message).get("status", self.status)
        self.disconnected = True

    def wait_for_picture(self, after: float, longest: float = 60.0) -> float | None:
        """Wait for a picture later than `after`; return the delay in s, None if none arrived."""
        while (now := time.monotonic()) < after + longest:
            if self.newest > after:
                return self.newest - after
            time.sleep(min(0.02, now))
        return None


class FaultInjector:
    """Faults of a server and of the proxy in front of it."""

    def __init__(self, server: RtspServer, proxy: ChaosProxy) -> None:
        self._server, self._proxy = server, proxy
        self._size = 0
        self.faults: dict[str, Callable[[], float]] = {
            "cut": self.cut, "swallowed": self.drop_packets, "another size": self.resize,
            CORRUPT: self.corrupt,
        }  # fmt: skip

    def cut(self) -> float:
        """Cut the connection. Like all faults, it returns the time at which it ended."""
        self._proxy.cut()
        return self._heal_after(FAULT_SECONDS)

    def drop_packets(self) -> float:
        """Drop all packets."""
        self._proxy.hole = True
        return self._heal_after(FAULT_SECONDS)

    def resize(self) -> float:
        """Restart the server with the other picture size."""
        self._server.kill()
        self._size = 1 - self._size
        self._server.show(SIZES[self._size], FPS)
        self._server.start()
        return time.monotonic()

    def corrupt(self) -> float:
        """Damage packets; pictures continue to arrive."""
        self._proxy.corrupt = 0.01
        end = self._heal_after(2 * FAULT_SECONDS)
        self._proxy.corrupt = 0.0
        return end

    def _heal_after(self, seconds: float) -> float:
        time.sleep(seconds)
        self._proxy.heal()
        return time.monotonic()


def start_program(address: str) -> tuple["subprocess.Popen[str]", str]:
    """Start the program; return the process and the address of its page."""
    options = ["--view", "web", "--port", "0", "--model", "fast", "--motion-scale", "1/2"]
    run = [sys.executable, "-m", "rtmag.realtime.cli.main", "stream", address, *options]
    process = subprocess.Popen(run, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    assert process.stderr is not None
    line = process.stderr.readline()
    match = re.search(r"open (http\S+)", line)
    if match is None:
        raise RuntimeError(f"rtmag did not start: {line}{process.stderr.read()}")
    threading.Thread(target=process.stderr.read, daemon=True).start()
    return process, match[1]


def sample(process: psutil.Process, viewer: Viewer, began: float, calm: bool) -> Row:
    """Current memory, descriptors, threads and latency."""
    return {
        "seconds": round(time.monotonic() - began, 1),
        "rss_mb": round(process.memory_info().rss / 1e6, 2),
        "descriptors": process.num_fds(),
        "threads": process.num_threads(),
        "latency_p95_ms": viewer.status.get("latency_p95_ms") if calm else None,
        "state": viewer.status.get("state"),
    }


def inject(injector: FaultInjector, viewer: Viewer, name: str, began: float) -> Row:
    """Inject one fault and time the recovery."""
    at, pictures = time.monotonic(), viewer.pictures
    healed = injector.faults[name]()
    recovered = viewer.wait_for_picture(healed)
    return {
        "fault": name,
        "at": round(at - began, 1),
        "lasting": round(healed - at, 2),
        "pictures": viewer.pictures - pictures,
        "recovered": None if recovered is None else round(recovered, 2),
    }


def worst_calm_latency(rows: list[Row], faults: list[Row]) -> float:
    """Largest median latency between two faults, in ms."""
    between = [fault["at"] for fault in faults]
    stretches: dict[int, list[float]] = {}
    for row in rows:
        if row["latency_p95_ms"] is not None:
            latencies = stretches.setdefault(bisect(between, row["seconds"]), [])
            latencies.append(row["latency_p95_ms"])
    return max((float(np.median(part)) for part in stretches.values()), default=0.0)


def verdict(rows: list[Row], faults: list[Row], alive: bool) -> Row:
    """Figures of the run without its warm-up, and `passed`; growth compares medians of halves."""
    later = rows[round(WARM * len(rows)) :]
    early, late = later[: len(later) // 2], later[len(later) // 2 :]

    def median(part: list[Row], key: str) -> float:
        return float(np.median([row[key] for row in part]))

    def p99(part: list[Row]) -> float:
        calm = [row["latency_p95_ms"] for row in part if row["latency_p95_ms"] is not None]
        return round(float(np.percentile(calm, 99)), 1)

    calm_ms = worst_calm_latency(rows, faults)
    keys = ("rss_mb", "descriptors", "threads")
    growth = {f"{key}_growth": round(median(late, key) - median(early, key), 2) for key in keys}
    hours = [row["seconds"] / 3600 for row in later]
    slope = float(np.polyfit(hours, [row["rss_mb"] for row in later], 1)[0])
    times = [row["recovered"] for row in faults]
    slowest = max((math.inf if time is None else time for time in times), default=0.0)
    shares = [row["pictures"] / row["lasting"] / FPS for row in faults if row["fault"] == CORRUPT]
    figures = {
        "uptime": 1.0 if alive else 0.0,
        "rss_mb_per_hour": round(slope, 2),
        **growth,
        "p99_ms_first_half": p99(early),
        "p99_ms_last_half": p99(late),
        "latest_stretch_ms": round(calm_ms, 1),
        "least_share_of_corrupt": round(min(shares, default=1.0), 3),
        "slowest_recovery": slowest,
    }
    figures["passed"] = (
        alive
        and slope <= ALLOWED_MB_PER_HOUR
        and growth["descriptors_growth"] <= 0
        and growth["threads_growth"] <= 0
        and p99(late) <= ALLOWED_P99 * p99(early)
        and calm_ms <= ALLOWED_CALM_MS
        and min(shares, default=1.0) >= ALLOWED_SHARE
        and slowest <= LIMIT
    )
    return figures


def main(
    minutes: Annotated[float, typer.Option(min=1, help="Duration of the run.")] = 30.0,
    seed: Annotated[int, typer.Option(help="Seed of the faults.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON to this file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Plot the samples into this file.")] = None,
) -> None:
    """Run, inject faults, sample and check the limits."""
    chance, revision = random.Random(seed), commit()  # noqa: S311
    rows: list[Row] = []
    faults: list[Row] = []
    with RtspServer(SIZES[0], FPS) as server, ChaosProxy(server.port) as proxy:
        process, url = start_program(server.url.replace(str(server.port), str(proxy.port)))
        try:
            injector, watched = FaultInjector(server, proxy), psutil.Process(process.pid)
            viewer = Viewer(url)
            viewer.start()
            began = time.monotonic()
            due, calm_from = began + chance.uniform(*NEXT_FAULT), began + CALM
            while (now := time.monotonic()) < began + 60 * minutes and process.poll() is None:
                rows.append(sample(watched, viewer, began, now > calm_from))
                time.sleep(SAMPLE_EVERY)
                if now >= due:
                    faults.append(
                        inject(injector, viewer, chance.choice([*injector.faults]), began)
                    )
                    print(faults[-1], flush=True)
                    due = time.monotonic() + chance.uniform(*NEXT_FAULT)
                    calm_from = time.monotonic() + CALM
            alive = process.poll() is None and not viewer.disconnected
        finally:
            process.terminate()
            process.wait(10)
    document = {
        "benchmark": "chaos", **machine(), "commit": revision, "minutes": minutes,
        "pictures": viewer.pictures, "verdict": verdict(rows, faults, alive), "faults": faults,
        "samples": rows,
    }  # fmt: skip
    if out is not None:
        out.write_text(json.dumps(document, indent=1) + "\n")
    if plot is not None:
        keys = {"rss_mb": "memory, MB", "descriptors": "descriptors", "threads": "threads",
                "latency_p95_ms": "latency, 95 %, ms"}  # fmt: skip
        plot_samples(plot, rows, keys, [row["seconds"] / 60 for row in rows], "minutes")
    print(json.dumps(document))
    if not document["verdict"]["passed"]:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
