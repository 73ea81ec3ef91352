"""Magnify thousands of damaged videos: none may crash or hang the program.

Six small videos with sound are damaged in five ways, at random but reproducibly. Each is converted
as `rtmag file` does it, without the model: decoded, timed, encoded, its sound copied. This runs in
child processes with 1 GB of memory, each of which takes many videos. Only frames and rtmag's own
errors are allowed; anything else is a failure, and its file is kept.

    python -m benchmarks.fuzz [--mutants 2000] [--keep FOLDER] [--out FILE.json]

The last line of stdout is one JSON document.
"""

import json
import os
import resource
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import av
import numpy as np
import typer
from numpy.typing import NDArray

from rtmag.realtime.environment import machine
from rtmag.realtime.errors import RtmagError, SourceLost
from rtmag.realtime.sinks.paths import output_path
from rtmag.realtime.sinks.video_file import VideoSink
from rtmag.realtime.sources.video_file import VideoSource

TIME_LIMIT = 10.0
"""Seconds; time limit of one mutant."""
MEMORY = 1 << 30
"""Bytes; limit of the address space of a child process."""
MUTANTS_PER_CHILD = 100
"""Enough to detect leaks, and few enough that leaks do not add up."""
MAX_FRAMES = 500
ORIGINALS = {
    "a.mp4": ("libx264", "aac", "yuv420p"),
    "b.mkv": ("libx264", "libopus", "yuv420p"),
    "c.ts": ("mpeg2video", "mp2", "yuv420p"),
    "d.webm": ("libvpx-vp9", "libopus", "yuv420p"),
    "e.avi": ("mjpeg", "pcm_s16le", "yuvj420p"),
    "f.gif": ("gif", None, "rgb8"),
}
"""Codec of picture and sound, and pixel format, by the name of the original file."""

Bytes = NDArray[np.uint8]


def write_original(path: Path) -> Path:
    """Write one of the original videos: 24 frames, one second of sound."""
    video, audio, pixels = ORIGINALS[path.name]
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream(video, rate=24, options={"g": "8"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        sound: Any = output.add_stream(audio, rate=48_000, layout="stereo") if audio else None
        for index in range(24):
            picture = rng.integers(0, 60, (48, 64, 3)).astype(np.uint8) + np.uint8(8 * index)
            frame = av.VideoFrame.from_ndarray(picture, "bgr24")
            frame.pts, frame.time_base = index, Fraction(1, 24)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if sound is not None:
            noise = rng.normal(0, 0.1, (2, 48_000)).astype(np.float32)
            samples = av.AudioFrame.from_ndarray(noise, "fltp", "stereo")
            samples.sample_rate = 48_000
            resampler = av.AudioResampler(sound.codec_context.format, "stereo", 48_000)
            for piece in (*resampler.resample(samples), *resampler.resample(None)):
                output.mux(sound.encode(piece))
            output.mux(sound.encode(None))
    return path


def _place(data: Bytes, rng: np.random.Generator) -> int:
    """Random position; half of the time near an end, where headers and indices are."""
    near = int(rng.integers(0, min(len(data), 1500)))
    places = (near, len(data) - 1 - near, *rng.integers(0, len(data), 2))
    return int(places[rng.integers(4)])


def flip(data: Bytes, rng: np.random.Generator) -> Bytes:
    """Replace some bytes."""
    for _ in range(2 ** rng.integers(0, 8)):
        data[_place(data, rng)] = rng.integers(256)
    return data


def extreme(data: Bytes, rng: np.random.Generator) -> Bytes:
    """Set some four-byte numbers to extreme values."""
    numbers = ([0] * 4, [255] * 4, [127, 255, 255, 255], [128, 0, 0, 0], [0, 0, 0, 1])
    for _ in range(rng.integers(1, 6)):
        at = min(_place(data, rng), len(data) - 4)
        data[at : at + 4] = numbers[rng.integers(len(numbers))]
    return data


def cut(data: Bytes, rng: np.random.Generator) -> Bytes:
    """Cut off the end."""
    return data[: _place(data, rng)]


def overwrite(data: Bytes, rng: np.random.Generator) -> Bytes:
    """Overwrite a part with zeros or noise."""
    at, length = _place(data, rng), int(2 ** rng.integers(2, 12))
    hole = data[at : at + length]
    hole[:] = 0 if rng.integers(2) else rng.integers(0, 256, len(hole))
    return data


def shuffle(data: Bytes, rng: np.random.Generator) -> Bytes:
    """Remove or repeat a part."""
    at, length = _place(data, rng), int(2 ** rng.integers(0, 12))
    middle = data[at : at + length]
    return np.concatenate([data[:at], *[middle] * (2 * int(rng.integers(2))), data[at + length :]])


MUTATIONS: tuple[Callable[[Bytes, np.random.Generator], Bytes], ...] = (
    flip, extreme, cut, overwrite, shuffle,
)  # fmt: skip


def mutant(whole: bytes, number: int) -> bytes:
    """Damage the video by one of the mutations; the number is the seed."""
    rng = np.random.default_rng(number)
    data = np.frombuffer(whole, np.uint8).copy()
    return MUTATIONS[rng.integers(len(MUTATIONS))](data, rng).tobytes()


def magnify(path: Path) -> str:
    """Convert a file; return `whole`, `damaged`, `refused`, or a failure with a colon."""
    try:
        with VideoSource(path) as source:
            sink = VideoSink(output_path(path, 1), like=source, overwrite=True)
            try:
                for frame in source:
                    sink.write(frame)
                    if frame.index == MAX_FRAMES:
                        break
            except SourceLost:
                return "damaged"
            finally:
                sink.close()
            return "damaged" if source.damaged else "whole"
    except RtmagError as error:
        return "refused" if "\n" not in str(error) else f"several lines: {error!r}"
    except Exception as error:
        return f"unexpected: {error!r}"


def child() -> None:
    """Convert each file whose path is a line of stdin; print each outcome as a line of JSON."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for line in sys.stdin:
        print(json.dumps(magnify(Path(line.rstrip("\n")))), flush=True)


class ChildProcess:
    """One child process at a time, replaced after many mutants, a crash or a hang."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._taken = 0

    def convert(self, path: Path) -> str:
        """Convert a file in the child process; return the outcome."""
        process = self._process_with_capacity()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{path}\n")
        process.stdin.flush()
        if not select.select([process.stdout], [], [], TIME_LIMIT)[0]:
            self.end()
            return f"hang: no answer in {TIME_LIMIT:g} s"
        answer = process.stdout.readline()
        if not answer:
            code = process.wait()
            self.end()
            return f"crash: exit code {code}"
        return str(json.loads(answer))

    def _process_with_capacity(self) -> "subprocess.Popen[str]":
        if self._process is None or self._taken == MUTANTS_PER_CHILD:
            self.end()
            run = [sys.executable, "-c", "from benchmarks import fuzz; fuzz.child()"]
            # Threads of libraries reserve address space that counts against the limit.
            limits = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
            self._process = subprocess.Popen(
                run,
                env=os.environ | limits,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            self._taken = 0
        self._taken += 1
        return self._process

    def end(self) -> None:
        """End the child process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._process = None


def outcomes(folder: Path, mutants: int, keep: Path) -> Iterator[dict[str, Any]]:
    """Yield the outcome of each mutant."""
    originals = {name: write_original(folder / name).read_bytes() for name in ORIGINALS}
    child_process = ChildProcess()
    try:
        for number in range(mutants):
            name = list(ORIGINALS)[number % len(ORIGINALS)]
            path = folder / f"mutant{Path(name).suffix}"
            path.write_bytes(mutant(originals[name], number))
            began = time.monotonic()
            outcome = child_process.convert(path)
            if ":" in outcome:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{number}{path.suffix}").write_bytes(path.read_bytes())
            seconds = time.monotonic() - began
            yield {"seed": name, "number": number, "outcome": outcome, "seconds": seconds}
    finally:
        child_process.end()


def main(
    mutants: Annotated[int, typer.Option(min=1, help="Number of damaged videos.")] = 2000,
    keep: Annotated[Path, typer.Option(help="Folder for failures.")] = Path("fuzz-failures"),
    out: Annotated[Path | None, typer.Option(help="Also write the JSON to this file.")] = None,
) -> None:
    """Damage and convert videos; the exit code is 1 if any fails."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for row in outcomes(Path(folder), mutants, keep):
            rows.append(row)
            if ":" in row["outcome"]:
                print(f"{row['seed']} {row['number']}: {row['outcome']}", flush=True)
    failures = [row for row in rows if ":" in row["outcome"]]
    document = {
        **machine(),
        "mutants": mutants,
        "memory_bytes": MEMORY,
        "limit_s": TIME_LIMIT,
        "slowest_s": round(max(row["seconds"] for row in rows), 2),
        "outcomes": {
            name: dict(Counter(r["outcome"].split(":")[0] for r in rows if r["seed"] == name))
            for name in ORIGINALS
        },
        "failures": [{key: row[key] for key in ("seed", "number", "outcome")} for row in failures],
    }
    if out is not None:
        out.write_text(json.dumps(document, indent=2) + "\n")
    print(json.dumps(document))
    raise typer.Exit(1 if failures else 0)


if __name__ == "__main__":
    typer.run(main)
