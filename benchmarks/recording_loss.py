"""What a recording loses when its process is killed, its disk is full, or Ctrl-C is pressed.

The whole program, `rtmag camera test --record`, is harmed again and again at moments that differ:
SIGKILL; a real file system that runs full (a small tmpfs, which only root can mount); the key
itself on a terminal of its own. What was given to the recording until then is compared with what
plays of its file.

    python -m benchmarks.recording_loss [--times 10] [--out FILE.json]

The last line of stdout is one JSON document. Exits 1 when more than a second was lost.
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

ALLOWED = 1.0
DISK_KILOBYTES = 1000
"""Filled within a few seconds."""
LONGEST = 90.0
"""Seconds until a program that should have ended has hung."""
# The program, which also notes the time of each frame that its recording was given. The reserve of
# space, which ends a recording before its disk is full, would refuse so small a one.
PROGRAM = """
import sys
from rtmag.realtime.run import live
from rtmag.realtime.sinks import background as writer
log = open(sys.argv.pop(1), "w", buffering=1)
class Told(live.BackgroundSink):
    def write(self, frame):
        super().write(frame)
        print(frame.time, file=log)
live.BackgroundSink, writer.LEAST_FREE = Told, 0
from rtmag.realtime.cli.main import main
main()
"""
SHOWN = ["--view", "none", "--model", "none", "--size", "640x480"]


def command(log: Path, output: Path) -> list[str]:
    """The program, recording."""
    camera = ["camera", "test", *SHOWN, "--record", str(output)]
    return [sys.executable, "-c", PROGRAM, str(log), *camera]


def await_frames(log: Path, count: int) -> None:
    """Wait until the recording was given so many."""
    end = time.monotonic() + LONGEST
    while not log.exists() or log.read_text().count("\n") < count:
        if time.monotonic() > end:
            raise TimeoutError(f"no {count} frames within {LONGEST} s")
        time.sleep(0.005)


def lost(log: Path, output: Path) -> float:
    """Seconds between the last frame that was given and the last one that plays."""
    moments = [float(line) for line in log.read_text().splitlines()]
    played = 0.0
    with av.open(str(output)) as container, suppress(av.FFmpegError):
        for frame in container.decode(video=0):
            played = float(frame.time or 0)
    return max(moments[-1] - moments[0] - played, 0.0)


def killed(folder: Path, number: int) -> float:
    """SIGKILL, at some moment between two fragments."""
    log, output = folder / "log", folder / "out.mp4"
    with subprocess.Popen(command(log, output), stderr=subprocess.DEVNULL) as process:
        await_frames(log, 60 + 7 * number)
        process.kill()
    return lost(log, folder / "out.part.mp4")


def disk_full(folder: Path, number: int) -> float:
    """The disk is full, a little sooner or later."""
    log, ballast = folder / "log", 20_000 * number
    with small_disk(folder / "disk", DISK_KILOBYTES) as disk:
        (disk / "ballast").write_bytes(bytes(ballast))
        done = subprocess.run(
            command(log, disk / "out.mp4"),
            capture_output=True, text=True, timeout=LONGEST, check=False,
        )  # fmt: skip
        if done.returncode != 1 or done.stderr.count("error: ") != 1:
            raise RuntimeError(f"exit {done.returncode}: {done.stderr}")
        return lost(log, disk / "out.part.mp4")


def interrupted(folder: Path, number: int) -> float:
    """Ctrl-C, the key, on a terminal of its own."""
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
    return lost(log, output)


def _exit_code(pid: int, terminal: int) -> int:
    """Once it has ended; what it says is read, or it would wait for that."""
    while True:
        ready, _, _ = select.select([terminal], [], [], 0.05)
        with suppress(OSError):
            _ = os.read(terminal, 65536) if ready else b""
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)


CASES: dict[str, Callable[[Path, int], float]] = {
    "killed": killed, "disk full": disk_full, "Ctrl-C on a terminal": interrupted,
}  # fmt: skip


def main(
    times: Annotated[int, typer.Option(min=1, help="How often each.")] = 10,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON here.")] = None,
) -> None:
    """Harm recordings, and see what is left."""
    rows: list[dict[str, Any]] = []
    for name, case in CASES.items():
        losses = []
        try:
            for number in range(times):
                with TemporaryDirectory() as folder:
                    losses.append(round(case(Path(folder), number), 3))
        except NoDisk as error:
            print(f"{name}: not done: {error}")
            continue
        rows.append({"case": name, "times": times, "lost": losses, "most": max(losses)})
        print(rows[-1], flush=True)
    document = {"benchmark": "losses", **machine(), "rows": rows}
    if out is not None:
        out.write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps(document))
    if any(row["most"] > ALLOWED for row in rows):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
