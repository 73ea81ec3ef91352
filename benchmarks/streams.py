"""Measure the recovery of lost streams with a real RTSP server (Debian's GStreamer).

    python -m benchmarks.streams [--long] [--out FILE.json]

Each case takes frames as the live loop does. Recovery counts from the moment at which the server or
the connection works again until a new frame arrives. `--long` adds an outage of a minute.
The last line of stdout is one JSON document.
"""

import json
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer

from rtmag.realtime.environment import machine
from rtmag.realtime.frame import Frame
from rtmag.realtime.sources.opening import open_source
from rtmag.realtime.sources.reconnecting import ReconnectingSource
from tests.support.servers import ChaosProxy, RtspServer

SIZE = (640, 480)
FPS = 30
Row = dict[str, Any]


class Watcher:
    """Take frames like the live loop and record when they arrive."""

    def __init__(self, address: str) -> None:
        began = time.monotonic()
        source = open_source(address)
        assert isinstance(source, ReconnectingSource)
        self.source = source
        self.opened = time.monotonic() - began
        self.frames: list[tuple[float, Frame]] = []
        self.states: list[tuple[float, str]] = []
        source.on_status = lambda status: self.states.append((time.monotonic(), status.state))

    def take(self, seconds: float, *, work: float = 0.0) -> list[float]:
        """Take frames for some seconds with a model that needs `work` seconds per frame."""
        latencies = []
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            frame = self.source.get(0.03)
            if frame is None:
                continue
            time.sleep(work)
            now = time.monotonic()
            latencies.append(now - frame.time)
            self.frames.append((now, Frame(frame.image[:1, :1], frame.time, frame.index)))
        return latencies

    def wait_for_frame(self, longest: float = 30.0) -> tuple[float, Frame]:
        """Wait for the next new frame."""
        end = time.monotonic() + longest
        while time.monotonic() < end:
            frame = self.source.get(0.03)
            if frame is not None:
                return time.monotonic(), frame
        raise TimeoutError(f"no frame within {longest} s")

    def first_state(self, state: str, after: float) -> float:
        """Seconds from `after` until a state began."""
        return next(at for at, name in self.states if name == state and at >= after) - after


def kill_server(seconds: float) -> Row:
    """Kill the server and start it again after some seconds."""
    with RtspServer(SIZE, FPS) as server:
        watcher = Watcher(server.url)
        watcher.take(3.0)
        died = time.monotonic()
        server.kill()
        watcher.take(seconds)
        server.start()
        restored = time.monotonic()
        moment, _ = watcher.wait_for_frame()
        return make_row(watcher, opened=watcher.opened, outage=restored - died,
                        recovered=moment - restored,
                        detected=watcher.first_state("RECONNECTING", died))  # fmt: skip


def cut(seconds: float, *, hole: bool = False) -> Row:
    """Cut the connection (new ones are refused), or drop all packets, for some seconds."""
    with RtspServer(SIZE, FPS) as server, ChaosProxy(server.port) as proxy:
        watcher = Watcher(server.url.replace(str(server.port), str(proxy.port)))
        watcher.take(3.0)
        began = time.monotonic()
        if hole:
            proxy.hole = True
        else:
            proxy.cut()
        watcher.take(seconds)
        proxy.heal()
        restored = time.monotonic()
        moment, _ = watcher.wait_for_frame()
        detected = watcher.first_state("STALLED" if hole else "RECONNECTING", began)
        return make_row(
            watcher, outage=restored - began, recovered=moment - restored, detected=detected
        )


def another_size() -> Row:
    """Restart the server with another picture size."""
    with RtspServer(SIZE, FPS) as server:
        watcher = Watcher(server.url)
        watcher.take(2.0)
        server.kill()
        watcher.take(1.0)
        server.show((320, 240), FPS)
        server.start()
        restored = time.monotonic()
        moment, frame = watcher.wait_for_frame()
        return make_row(watcher, recovered=moment - restored, size=list(frame.size))


def corrupt(share: float) -> Row:
    """Damage a share of the packets."""
    with RtspServer(SIZE, FPS) as server, ChaosProxy(server.port) as proxy:
        watcher = Watcher(server.url.replace(str(server.port), str(proxy.port)))
        proxy.corrupt = share
        watcher.take(10.0)
        return make_row(
            watcher, corrupted=proxy.corrupted, frames=len(watcher.frames), expected=10 * FPS
        )


def slow(work: float) -> Row:
    """Take frames with a model that needs longer than a frame interval."""
    with RtspServer(SIZE, FPS) as server:
        watcher = Watcher(server.url)
        watcher.take(1.0)
        latencies = watcher.take(10.0, work=work)
        tail = sorted(latencies)[int(0.95 * len(latencies))]
        return make_row(watcher, frames=len(latencies), p50_ms=1e3 * statistics.median(latencies),
                        p95_ms=1e3 * tail)  # fmt: skip


def make_row(watcher: Watcher, **figures: Any) -> Row:
    """Close the source and make the row of the case."""
    status = watcher.source.status
    watcher.source.close()
    rounded = {k: round(v, 2) if isinstance(v, float) else v for k, v in figures.items()}
    return {**rounded, "reconnects": status.reconnects, "stalls": status.stalls,
            "errors": status.errors}  # fmt: skip


def main(
    long: Annotated[bool, typer.Option("--long", help="Also an outage of a minute.")] = False,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON to this file.")] = None,
) -> None:
    """Interrupt a stream and time its recovery."""
    cases: dict[str, Callable[[], Row]] = {
        "server killed and started": lambda: kill_server(3.0),
        "cut": lambda: cut(5.0),
        "everything swallowed": lambda: cut(5.0, hole=True),
        "killed, started with another size": another_size,
        "1 % of packets corrupt": lambda: corrupt(0.01),
        "client three times slower": lambda: slow(0.1),
    }
    if long:
        cases["cut, long"] = lambda: cut(60.0)
    process = psutil.Process()
    rows = []
    for name, case in cases.items():
        before = process.num_fds(), threading.active_count()
        row = {"case": name, **case()}
        time.sleep(0.5)
        after = process.num_fds(), threading.active_count()
        row |= {"descriptors_left": after[0] - before[0], "threads_left": after[1] - before[1]}
        rows.append(row)
        print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    server = f"GStreamer RTSP, x264, {SIZE[0]}x{SIZE[1]} at {FPS} fps, a key frame a second"
    head = {"benchmark": "streams", **machine(), "server": server}
    document = {**head, "rows": rows}
    if out is not None:
        out.write_text(json.dumps(document, indent=2) + "\n")
    print(json.dumps(document))


if __name__ == "__main__":
    typer.run(main)
