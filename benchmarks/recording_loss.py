"""Measure the loss of a recording when it is killed, its disk is full, or Ctrl-C is pressed.

The whole program, `rtmag camera test --record`, is ended repeatedly at different moments: by
SIGKILL; by a real file system that becomes full (a small tmpfs, which only root can mount); by the
key on a terminal of its own. The frames given to the recording are compared with those that its
file plays.

    python -m benchmarks.recording_loss [--times 10] [--out FILE.json]

The last line of stdout is one JSON document. The exit code is 1 if more than one second was
lost.
"""

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import av
import typer

from rtmag.realtime.environment import machine
from tests.support.disk import NoDisk, small_disk

ALLOWED_SECONDS = 1.0
DISK_KILOBYTES = 1000
"""A recording fills this disk within a few seconds."""
TIME_LIMIT = 90.0
"""Seconds after which a program that should have ended counts as hung."""
# The program, which also logs the time of each frame given to its recording. The reserve of free
# space is set to 0, as it would refuse a disk of this size.
PROGRAM = """
import sys
from rtmag.realtime.run import live
from rtmag.realtime.sinks import background
log = open(sys.argv.pop(1), "w", buffering=1)
class LoggedSink(live.BackgroundSink):
    def write(self, frame):
        super().write(frame)
        print(frame.time, file=log)
live.BackgroundSink, background.LEAST_FREE = LoggedSink, 0
from rtmag.realtime.cli.main import main
main()
"""
OPTIONS = ["--view", "none", "--model", "none", "--size", "640x480"]


def command(log: Path, output: Path) -> list[str]:
    """Command line of the recording program."""
    camera = ["camera", "test", *OPTIONS, "--record", str(output)]
    return [sys.executable, "-c", PROGRAM, str(log), *camera]


def await_frames(log: Path, count: int) -> None:
    """Wait until the recording has received `count` frames."""
    end = time.monotonic() + TIME_LIMIT
    while not log.exists() or log.read_text().count("\n") < count:
        if time.monotonic() > end:
            raise TimeoutError(f"no {count} frames within {TIME_LIMIT} s")
        time.sleep(0.005)


def seconds_lost(log: Path, output: Path) -> float:
    """Seconds from the last frame that plays to the last frame that the recording received."""
    received = [float(line) for line in log.read_text().splitlines()]
    played = 0.0
    with av.open(str(output)) as container, suppress(av.FFmpegError):
        for frame in container.decode(video=0):
            played = float(frame.time or 0)
    return max(received[-1] - received[0] - played, 0.0)


def kill(folder: Path, number: int) -> float:
    """Kill the program at a moment between two fragments; return the loss in seconds."""
    log, output = folder / "log", folder / "out.mp4"
    with subprocess.Popen(command(log, output), stderr=subprocess.DEVNULL) as process:
        await_frames(log, 60 + 7 * number)
        process.kill()
    return seconds_lost(log, folder / "out.part.mp4")


def fill_disk(folder: Path, number: int) -> float:
    """Fill the disk, earlier or later by number; return the loss in seconds."""
    log, ballast = folder / "log", 20_000 * number
    with small_disk(folder / "disk", DISK_KILOBYTES) as disk:
        (disk / "ballast").write_bytes(bytes(ballast))
        done = subprocess.run(
            command(log, disk / "out.mp4"),
            capture_output=True, text=True, timeout=TIME_LIMIT, check=False,
        )  # fmt: skip
        if done.returncode != 1 or done.stderr.count("error: ") != 1:
            raise RuntimeError(f"exit {done.returncode}: {done.stderr}")
        return seconds_lost(log, disk / "out.part.mp4")


def interrupt(folder: Path, number: int) -> float:
    """Press Ctrl-C on a terminal of its own; return the loss in seconds."""
    log, output = folder / "log", folder / "out.mp4"
    run = command(log, output)
    pid, terminal = pty.fork()
    if not pid:
        os.execv(run[0], run)  # noqa: S606
    try:
        await_frames(log, 60 + 7 * number)
        os.write(terminal, b"\x03")
        code = _exit_code(pid, terminal)
    finally:
        os.close(terminal)
    if code != 130:
        raise RuntimeError(f"exit {code}")
    return seconds_lost(log, output)


def _exit_code(pid: int, terminal: int) -> int:
    """Wait for the exit code; read the output, because a full terminal would block the program."""
    while True:
        ready, _, _ = select.select([terminal], [], [], 0.05)
        with suppress(OSError):
            _ = os.read(terminal, 65536) if ready else b""
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)


CASES: dict[str, Callable[[Path, int], float]] = {
    "killed": kill, "disk full": fill_disk, "Ctrl-C on a terminal": interrupt,
}  # fmt: skip


def main(
    times: Annotated[int, typer.Option(min=1, help="Recordings per case.")] = 10,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON to this file.")] = None,
) -> None:
    """End recordings and measure the loss."""
    rows: list[dict[str, Any]] = []
    for name, case in CASES.items():
        losses = []
        try:
            for number in range(times):
                with TemporaryDirectory() as folder:
                    losses.append(round(case(Path(folder), number), 3))
        except NoDisk as error:
            print(f"{name}: skipped: {error}")
            continue
        rows.append({"case": name, "times": times, "lost": losses, "most": max(losses)})
        print(rows[-1], flush=True)
    document = {"benchmark": "losses", **machine(), "rows": rows}
    if out is not None:
        out.write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps(document))
    if any(row["most"] > ALLOWED_SECONDS for row in rows):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
