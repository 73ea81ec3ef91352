"""Does a live view outlive everything? The whole program, harmed at random, watched by one viewer.

`rtmag stream` with the real model and the web view, a process of its own, shows a real RTSP server
(Debian's GStreamer) through a proxy. Every half minute or two one of these is done to it: the way
is cut or swallows everything for 5 s, the server comes back with another size, or one packet in a
hundred is damaged for 10 s. What is watched: that new pictures come back in time, that the process
never ends, its memory, descriptors and threads, and its latency while nothing is wrong.

    python -m benchmarks.chaos [--minutes 30] [--out FILE.json] [--plot FILE.png]

The last line of stdout is one JSON document. Exits 1 when something is not as it must be.
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

from benchmarks.soak import plotted
from rtmag.realtime.environment import code, machine
from tests.support.servers import ChaosProxy, RtspServer

SIZES = ((320, 240), (240, 180))
FPS = 15
FAULT_SECONDS = 5.0
NEXT_FAULT = (30.0, 90.0)
"""Seconds between one fault's end and the next one, at least and at most."""
LIMIT = 2.5 + 1.0
"""Seconds from a fault's end to a new picture; the second one is the server's own, which starts."""
SAMPLE_EVERY = 5.0
WARM = 1 / 3
"""Of the run; until then every harm was done for the first time."""
CALM = 5.0
"""Seconds after a fault that its latencies are not counted."""
ALLOWED_MB_PER_HOUR = 1.0
ALLOWED_P99 = 1.1
ALLOWED_CALM_MS = 100.0
"""Median latency from one fault to the next: pictures must not stay late for having been harmed."""
ALLOWED_SHARE = 0.78
"""Of the pictures, while packets are damaged."""
CORRUPT = "1 % corrupt"


Row = dict[str, Any]


class Viewer(threading.Thread):
    """Watches as a browser does, and notes when new pictures and figures came."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.pictures = 0
        self.newest = 0.0
        self.status: Row = {}
        self.gone = False
        origin = Origin(url.rstrip("/"))
        self._socket = connect(url.replace("http", "ws") + "ws", origin=origin)

    def run(self) -> None:
        """Take everything until the server goes."""
        with suppress(ConnectionClosed):
            for message in self._socket:
                if isinstance(message, bytes):
                    self.pictures, self.newest = self.pictures + 1, time.monotonic()
                else:
                    self.status = json.loads(message).get("status", self.status)
        self.gone = True

    def until_picture(self, after: float, longest: float = 60.0) -> float | None:
        """Seconds from `after` to the first picture that came later; None: none came."""
        while (now := time.monotonic()) < after + longest:
            if self.newest > after:
                return self.newest - after
            time.sleep(min(0.02, now))
        return None


class Stage:
    """The server, the way to it, and what can be done to both."""

    def __init__(self, server: RtspServer, proxy: ChaosProxy) -> None:
        self._server, self._proxy = server, proxy
        self._size = 0
        self.faults: dict[str, Callable[[], float]] = {
            "cut": self.cut, "swallowed": self.swallow, "another size": self.resize,
            CORRUPT: self.corrupt,
        }  # fmt: skip

    def cut(self) -> float:
        """Each returns when the harm was over."""
        self._proxy.cut()
        return self._healed(FAULT_SECONDS)

    def swallow(self) -> float:
        """Take everything, pass on nothing."""
        self._proxy.hole = True
        return self._healed(FAULT_SECONDS)

    def resize(self) -> float:
        """Come back with the other size."""
        self._server.kill()
        self._size = 1 - self._size
        self._server.show(SIZES[self._size], FPS)
        self._server.start()
        return time.monotonic()

    def corrupt(self) -> float:
        """Pictures go on coming."""
        self._proxy.corrupt = 0.01
        end = self._healed(2 * FAULT_SECONDS)
        self._proxy.corrupt = 0.0
        return end

    def _healed(self, seconds: float) -> float:
        time.sleep(seconds)
        self._proxy.heal()
        return time.monotonic()


def started(address: str) -> tuple["subprocess.Popen[str]", str]:
    """The program, and where its page is."""
    how = ["--view", "web", "--port", "0", "--model", "fast", "--motion-scale", "1/2"]
    run = [sys.executable, "-m", "rtmag.realtime.cli.main", "stream", address, *how]
    process = subprocess.Popen(run, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    assert process.stderr is not None
    said = process.stderr.readline()
    found = re.search(r"open (http\S+)", said)
    if found is None:
        raise RuntimeError(f"rtmag did not start: {said}{process.stderr.read()}")
    threading.Thread(target=process.stderr.read, daemon=True).start()
    return process, found[1]


def sample(process: psutil.Process, viewer: Viewer, began: float, calm: bool) -> Row:
    """What the process holds at the moment, and how it does."""
    return {
        "seconds": round(time.monotonic() - began, 1),
        "rss_mb": round(process.memory_info().rss / 1e6, 2),
        "descriptors": process.num_fds(),
        "threads": process.num_threads(),
        "latency_p95_ms": viewer.status.get("latency_p95_ms") if calm else None,
        "state": viewer.status.get("state"),
    }


def harmed(stage: Stage, viewer: Viewer, name: str, began: float) -> Row:
    """Do one harm, and time the return of pictures."""
    at, pictures = time.monotonic(), viewer.pictures
    healed = stage.faults[name]()
    recovered = viewer.until_picture(healed)
    return {
        "fault": name,
        "at": round(at - began, 1),
        "lasting": round(healed - at, 2),
        "pictures": viewer.pictures - pictures,
        "recovered": None if recovered is None else round(recovered, 2),
    }


def latest_stretch(rows: list[Row], faults: list[Row]) -> float:
    """The largest median latency of all stretches from one fault to the next, ms."""
    between = [fault["at"] for fault in faults]
    stretches: dict[int, list[float]] = {}
    for row in rows:
        if row["latency_p95_ms"] is not None:
            latencies = stretches.setdefault(bisect(between, row["seconds"]), [])
            latencies.append(row["latency_p95_ms"])
    return max((float(np.median(part)) for part in stretches.values()), default=0.0)


def verdict(rows: list[Row], faults: list[Row], alive: bool) -> Row:
    """Whether all of it is as it must be, once every harm was done; growth is of medians."""
    later = rows[round(WARM * len(rows)) :]
    early, late = later[: len(later) // 2], later[len(later) // 2 :]

    def median(part: list[Row], key: str) -> float:
        return float(np.median([row[key] for row in part]))

    def p99(part: list[Row]) -> float:
        calm = [row["latency_p95_ms"] for row in part if row["latency_p95_ms"] is not None]
        return round(float(np.percentile(calm, 99)), 1)

    calm_ms = latest_stretch(rows, faults)
    keys = ("rss_mb", "descriptors", "threads")
    growth = {f"{key}_growth": round(median(late, key) - median(early, key), 2) for key in keys}
    hours = [row["seconds"] / 3600 for row in later]
    slope = float(np.polyfit(hours, [row["rss_mb"] for row in later], 1)[0])
    times = [row["recovered"] for row in faults]
    slowest = max((math.inf if time is None else time for time in times), default=0.0)
    shares = [row["pictures"] / row["lasting"] / FPS for row in faults if row["fault"] == CORRUPT]
    found = {
        "uptime": 1.0 if alive else 0.0,
        "rss_mb_per_hour": round(slope, 2),
        **growth,
        "p99_ms_first_half": p99(early),
        "p99_ms_last_half": p99(late),
        "latest_stretch_ms": round(calm_ms, 1),
        "least_share_of_corrupt": round(min(shares, default=1.0), 3),
        "slowest_recovery": slowest,
    }
    found["passed"] = (
        alive
        and slope <= ALLOWED_MB_PER_HOUR
        and growth["descriptors_growth"] <= 0
        and growth["threads_growth"] <= 0
        and p99(late) <= ALLOWED_P99 * p99(early)
        and calm_ms <= ALLOWED_CALM_MS
        and min(shares, default=1.0) >= ALLOWED_SHARE
        and slowest <= LIMIT
    )
    return found


def main(
    minutes: Annotated[float, typer.Option(min=1, help="How long.")] = 30.0,
    seed: Annotated[int, typer.Option(help="Of what is done when.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON here.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the samples here.")] = None,
) -> None:
    """Run, harm, sample, judge."""
    chance, commit = random.Random(seed), code()  # noqa: S311
    rows: list[Row] = []
    faults: list[Row] = []
    with RtspServer(SIZES[0], FPS) as server, ChaosProxy(server.port) as proxy:
        process, url = started(server.url.replace(str(server.port), str(proxy.port)))
        try:
            stage, watched = Stage(server, proxy), psutil.Process(process.pid)
            viewer = Viewer(url)
            viewer.start()
            began = time.monotonic()
            due, calm_from = began + chance.uniform(*NEXT_FAULT), began + CALM
            while (now := time.monotonic()) < began + 60 * minutes and process.poll() is None:
                rows.append(sample(watched, viewer, began, now > calm_from))
                time.sleep(SAMPLE_EVERY)
                if now >= due:
                    faults.append(harmed(stage, viewer, chance.choice([*stage.faults]), began))
                    print(faults[-1], flush=True)
                    due = time.monotonic() + chance.uniform(*NEXT_FAULT)
                    calm_from = time.monotonic() + CALM
            alive = process.poll() is None and not viewer.gone
        finally:
            process.terminate()
            process.wait(10)
    document = {
        "benchmark": "chaos", **machine(), "commit": commit, "minutes": minutes,
        "pictures": viewer.pictures, "verdict": verdict(rows, faults, alive), "faults": faults,
        "samples": rows,
    }  # fmt: skip
    if out is not None:
        out.write_text(json.dumps(document, indent=1) + "\n")
    if plot is not None:
        keys = {"rss_mb": "memory, MB", "descriptors": "descriptors", "threads": "threads",
                "latency_p95_ms": "latency, 95 %, ms"}  # fmt: skip
        plotted(plot, rows, keys, [row["seconds"] / 60 for row in rows], "minutes")
    print(json.dumps(document))
    if not document["verdict"]["passed"]:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
