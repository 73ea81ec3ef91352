"""A file that takes pieces whole: where a disk ends must not matter."""

import sys
from pathlib import Path

import pytest

from rtmag.realtime.sinks.video_file import PartialFile
from tests.support.fakes import run_python

_SWEEP = """
import resource, signal, sys
from contextlib import suppress
from pathlib import Path
import numpy as np
from rtmag.realtime.errors import RtmagError
from rtmag.realtime.frame import Frame
from rtmag.realtime.sinks.video_file import VideoSink

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
rng = np.random.default_rng(0)
noise = [rng.integers(0, 256, (48, 64, 3), np.uint8) for _ in range(8)]
flat = [np.full((48, 64, 3), 30 * level, np.uint8) for level in range(8)]
for pictures, limits in ((flat, range(2600, 7000, 190)), (noise, range(90_000, 200_000, 9001))):
    for limit in limits:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        sink, given = VideoSink(Path(sys.argv[1]) / f"{limit}.{sys.argv[2]}"), 0
        with suppress(RtmagError):
            for index in range(150):
                sink.write(Frame(pictures[index % 8], index / 30, index))
                given += 1
        with suppress(RtmagError):
            sink.close(finished=False)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        print(sink.path_written, given)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a file size limit")
@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_a_recording_plays_wherever_its_disk_ended(kind: str, tmp_path: Path) -> None:
    """F11: to within a second, also where the head of a fragment was what did not fit."""
    from tests.system.test_process import recorded

    said = run_python(f"import sys; sys.argv[1:] = [{str(tmp_path)!r}, {kind!r}]\n{_SWEEP}")
    rows = [line.split() for line in said.splitlines()]
    assert len(rows) > 30
    for path, given in rows:
        assert recorded(Path(path)) >= int(given) - 30, path


@pytest.mark.skipif(sys.platform == "win32", reason="needs a file size limit")
def test_a_piece_that_does_not_fit_is_left_out_and_so_is_all_after_it(tmp_path: Path) -> None:
    code = f"""if True:
        import resource, signal
        from pathlib import Path
        from rtmag.realtime.sinks.video_file import PartialFile
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
        with PartialFile(Path({str(tmp_path / "file")!r})) as file:
            file.write(b"12345678")
            for piece in (b"abcd", b"e"):
                try:
                    file.write(piece)
                except OSError as error:
                    print(error.errno)
            file.seek(2)
    """
    first, second = run_python(code).split()
    assert first == second
    assert (tmp_path / "file").read_bytes() == b"12345678"


def test_places_within_can_be_written_again(tmp_path: Path) -> None:
    with PartialFile(tmp_path / "file") as file:
        assert file.write(b"abcdef") == 6
        assert file.seek(1) == 1
        file.write(b"XY")
        assert file.tell() == 3
        file.close()
    assert (tmp_path / "file").read_bytes() == b"aXYdef"
