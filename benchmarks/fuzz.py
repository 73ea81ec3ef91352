"""Damaged bytes: nothing that a file may hold ends in a crash, a hang or a fault of our own.

Small videos of six kinds are damaged at random and read to their end by child processes, whose
memory and time are limited: python -m benchmarks.fuzz. A child serves many files, so that a file
costs milliseconds; one that dies is replaced, and what killed it is kept.
"""

import json
import resource
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import av
import numpy as np
import typer

from rtmag.realtime.bench import machine

SECONDS = 10.0
MEMORY = 1 << 30
KINDS = {
    "plain.mp4": ("libx264", {}), "fragments.mp4": ("libx264", {"movflags": "frag_keyframe"}),
    "a.mkv": ("libx264", {}), "a.ts": ("mpeg2video", {}), "a.avi": ("mjpeg", {}),
    "a.webm": ("libvpx-vp9", {}),
}  # fmt: skip
_CHILD = "from benchmarks.fuzz import serve; serve()"


def seed(path: Path, codec: str, options: dict[str, str]) -> bytes:
    """A video of a second, of which damage is made."""
    rng = np.random.default_rng(0)
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    with av.open(str(path), "w", container_options=options) as output:
        stream: Any = output.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        for index in range(25):
            image = rng.integers(0, 256, (48, 64, 3)).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path.read_bytes()


def mutants(content: bytes, count: int, rng: np.random.Generator) -> Iterator[bytes]:
    """Bytes replaced, cut out, doubled, or a number in them made huge."""
    for number in range(count):
        data = bytearray(content)
        # Headers are a small part of a file and decide most of what happens.
        end = len(data) if number % 2 else min(2048, len(data))
        for at in rng.integers(0, end, int(rng.integers(1, 24))):
            data[at] = int(rng.integers(0, 256))
        first, second = sorted(int(at) for at in rng.integers(0, len(data), 2))
        match number % 5:
            case 0:
                data = data[:second]
            case 1:
                del data[first : first + 64]
            case 2:
                data[first:first] = data[first : first + 256]
            case 3:
                data[first : first + 4] = b"\xff\xff\xff\xf0"
        yield bytes(data)


def serve() -> None:
    """Read the videos named on stdin; a line of JSON for each."""
    from rtmag.realtime.errors import RtmagError
    from rtmag.realtime.video import VideoSource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for line in sys.stdin:
        frames, outcome = 0, "read"
        try:
            with VideoSource(json.loads(line), max_pixels=1 << 24) as video:
                for _ in video:
                    frames += 1
        except RtmagError as error:
            outcome = type(error).__name__
        except MemoryError:
            outcome = "MemoryError"
        except Exception as error:
            outcome = f"fault: {type(error).__name__}: {error}"
        print(json.dumps([outcome, frames]), flush=True)


class Child:
    """A process that reads videos."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def read(self, path: Path) -> str:
        """What became of a video: an error of ours, `read`, or what must not be."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(str(path)) + "\n")
        self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], SECONDS)
        if not ready:
            self.close()
            return "hang"
        line = self._process.stdout.readline()
        if not line:
            return f"crash: {self._process.wait()}"
        return str(json.loads(line)[0])

    @property
    def alive(self) -> bool:
        """Whether it takes another."""
        return self._process.poll() is None

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


def main(
    count: Annotated[int, typer.Option("--mutants", help="Of each kind together.")] = 2000,
    out: Path = Path("benchmarks/results/fuzz.json"),
    corpus: Annotated[Path, typer.Option(help="Where failures are kept.")] = Path("fuzz-failures"),
) -> None:
    """Read damaged videos; exits with 1 when one of them did harm."""
    outcomes: Counter[str] = Counter()
    harm: list[dict[str, str]] = []
    began = time.monotonic()
    child = Child()
    with tempfile.TemporaryDirectory() as folder:
        for kind, (name, (codec, options)) in enumerate(KINDS.items()):
            content = seed(Path(folder) / name, codec, options)
            rng = np.random.default_rng(kind)
            path = Path(folder) / f"mutant-{name}"
            for number, data in enumerate(mutants(content, -(-count // len(KINDS)), rng)):
                path.write_bytes(data)
                if not child.alive:
                    child = Child()
                outcome = child.read(path)
                outcomes[outcome.partition(":")[0]] += 1
                if outcome.partition(":")[0] in ("hang", "crash", "fault", "MemoryError"):
                    corpus.mkdir(exist_ok=True)
                    (corpus / f"{number}-{name}").write_bytes(data)
                    harm.append({"file": f"{number}-{name}", "outcome": outcome})
    child.close()
    document = {
        "benchmark": "fuzz", **machine(), "kinds": list(KINDS), "mutants": sum(outcomes.values()),
        "seconds": round(time.monotonic() - began, 1), "outcomes": dict(outcomes), "harm": harm,
    }  # fmt: skip
    out.write_text(json.dumps(document, indent=2) + "\n")
    print(json.dumps(document))
    raise typer.Exit(1 if harm else 0)


if __name__ == "__main__":
    typer.run(main)
