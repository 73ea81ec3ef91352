"""Bad and unusual inputs, through the whole command: the rows I of the fault matrix.

Rows that are held further down are named where they are tested, in tests/realtime:
sources/test_video_file.py (I01, I02, I04, I06, I08), sinks/test_video_file.py (I04, I06, I09, I10),
run/test_files.py and cli/test_main.py (I01, I02, I10).
"""

import hashlib
import os
import socket
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from rtmag.realtime.cli.main import execute
from rtmag.realtime.opencv import cv2
from rtmag.realtime.run.live import run_live
from rtmag.realtime.sources.pipe import Y4mPipe
from rtmag.realtime.sources.video_file import VideoSource
from tests.realtime.run.test_live import make
from tests.support.clips import BLUE, Clip, coloured_y4m, flat, smooth
from tests.support.fakes import ENVIRONMENT, identity_model

MakeClip = Callable[..., Path]
MAIN = "from rtmag.realtime.cli.main import main; main()"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    identity_model(tmp_path / "identity.onnx")


def magnify(*args: str, model: str = "identity.onnx") -> int:
    return execute(["file", *args, "--model", model, "--progress", "none"])


def decoded(path: Path) -> list[Any]:
    """Decode all pictures of a file to BGR."""
    with VideoSource(path) as video:
        return [frame.image for frame in video]


def bomb(path: Path, width: int, height: int) -> Path:
    """A GIF of 35 bytes that claims the given size."""
    screen = struct.pack("<HH", width, height)
    head = b"GIF89a" + screen + b"\x80\0\0" + b"\0\0\0\xff\xff\xff"
    path.write_bytes(head + b"," + bytes(4) + screen + b"\0" + b"\x02\x02\x4c\x01\0;")
    return path


_PEAK = """
import resource, sys, time
from rtmag.realtime.cli.main import execute
import rtmag.realtime.run.files
before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
code = execute(sys.argv[1:])
print(code, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024,
      time.monotonic() - began)
"""


def refused(*args: str) -> str:
    """Return the one-line error of `rtmag file`, which must end quickly and with little memory."""
    run = [sys.executable, "-c", _PEAK, "file", *args, "--model", "identity.onnx"]
    done = subprocess.run(run, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    code, megabytes, seconds = done.stdout.split()
    assert code == "2"
    assert done.stderr.count("\n") == 1
    assert int(megabytes) <= 150
    assert float(seconds) <= 5.0
    return done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux does")
@pytest.mark.parametrize("size", [(16000, 16000), (65535, 65535), (7680, 4320)])
def test_a_small_video_that_claims_many_pixels(size: tuple[int, int], tmp_path: Path) -> None:
    """I05: refused quickly, with little memory."""
    bomb(tmp_path / "bomb.gif", *size)
    assert "cannot open 'bomb.gif'" in refused("bomb.gif")
    assert not list(tmp_path.glob("*mag*"))


def claiming(path: Path, width: int, height: int) -> Path:
    """A small PNG that claims a size and starts with data of that size."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(1_000_000))),
        (b"IEND", b""),
    ]
    parts = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux does")
@pytest.mark.parametrize("source", ["pictures", "pictures/*.png"])
def test_a_small_image_that_claims_many_pixels(source: str, tmp_path: Path) -> None:
    """I05: the limit of videos applies."""
    (tmp_path / "pictures").mkdir()
    claiming(tmp_path / "pictures" / "a.png", 30_000, 30_000)
    said = refused(source, "-o", "o.mp4")
    assert "a.png': 30000x30000 is too large; 25.2 million pixels are allowed; --max-pixels" in said


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no fifos here")
@pytest.mark.parametrize("source", ["pictures", "pictures/*.png"])
def test_invalid_images_are_skipped(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """I01, I05: a named pipe, which would block; an image that is too large; another file type."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    os.mkfifo(folder / "a.png")
    assert magnify(source, "-o", "out.mp4") == 2
    assert "none of its pictures can be read" in capsys.readouterr().err
    claiming(folder / "b.png", 65, 48)
    (folder / "c.png").write_bytes(cv2.imencode(".ras", flat(0, (64, 48)))[1].tobytes())
    for name in ("d.png", "e.png"):
        cv2.imwrite(str(folder / name), flat(1, (64, 48)))
    limit = ["--max-pixels", str(64 * 48)]
    assert magnify(source, "-o", "out.mp4", *limit) == 0
    assert "is damaged; 3 parts of it were skipped" in capsys.readouterr().err
    assert len(decoded(Path("out.mp4"))) == 2


def test_max_pixels_is_an_option(clip: MakeClip, capsys: pytest.CaptureFixture[str]) -> None:
    """I05."""
    clip("in.mp4", frames=2)
    assert magnify("in.mp4", "--max-pixels", str(64 * 48 - 1)) == 2
    assert "64x48 is too large" in capsys.readouterr().err
    assert magnify("in.mp4", "--max-pixels", str(64 * 48)) == 0
    Path("pictures").mkdir()
    cv2.imwrite("pictures/a.png", flat(0, (64, 48)))
    for source in ("pictures", "pictures/*.png"):
        args = [source, "-o", "out.mp4", "--overwrite", "--max-pixels"]
        assert magnify(*args, str(64 * 48 - 1)) == 2
        assert "a.png': 64x48 is too large" in capsys.readouterr().err
        assert magnify(*args, str(64 * 48)) == 0


FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}


@pytest.mark.parametrize(("flags", "code"), [((), 0), (("--strict",), 1)])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("in.mkv", {}),
        ("in.webm", {"codec": "libvpx"}),
        ("in.mp4", {"container": {"movflags": "faststart"}}),
        ("in.mp4", {"container": FRAGMENTS, "options": {"g": "15"}}),
    ],
)
def test_damage_is_a_warning_or_a_failure_with_strict(
    name: str,
    options: dict[str, Any],
    flags: tuple[str, ...],
    code: int,
    clip: MakeClip,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """I02: good frames are kept either way."""
    path = clip(name, frames=60, picture=_noise, **options)
    assert magnify(name, "-o", "whole.mp4", "--strict") == 0
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    assert capsys.readouterr().err == ""
    assert magnify(name, "-o", "out.mp4", *flags) == code
    assert f"warning: {name!r} is damaged" in capsys.readouterr().err
    assert 10 < len(decoded(Path("out.mp4"))) < 60


def test_matroska_files_of_rtmag_count_as_complete(clip: MakeClip) -> None:
    """I02: neither outputs nor recordings count as damaged."""
    clip("in.mp4", frames=6)
    assert magnify("in.mp4", "-o", "file.mkv") == 0
    run_live("test", make("identity.onnx", record=Path("live.mkv"))[0])
    for name in ("file.mkv", "live.mkv"):
        assert magnify(name, "--strict") == 0


def _noise(index: int, size: tuple[int, int]) -> Any:
    return np.random.default_rng(index).integers(0, 256, (*size[::-1], 3)).astype(np.uint8)


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_very_short_videos_are_kept_and_reported(
    frames: int, clip: MakeClip, capsys: pytest.CaptureFixture[str]
) -> None:
    """I03: shorter than any filter needs."""
    clip("in.mp4", frames=frames)
    band = [] if frames == 1 else ["--fl", "1", "--fh", "3"]
    assert magnify("in.mp4", "-o", "out.mp4", *band) == 0
    assert len(decoded(Path("out.mp4"))) == frames
    words = "no motion to magnify" if frames == 1 else "less than one period at 1 Hz"
    assert words in capsys.readouterr().err


def test_a_motion_keeps_its_frequency_at_a_variable_rate(clip: MakeClip) -> None:
    """I06: 2 Hz is 2 Hz at steps of 16 to 100 ms, and every frame keeps its time."""
    rng = np.random.default_rng(0)
    ticks = np.cumsum(rng.integers(16, 101, 120)).tolist()
    picture = cv2.GaussianBlur(rng.integers(0, 256, (96, 128, 3)).astype(np.uint8), (0, 0), 2)

    def swaying(index: int, size: tuple[int, int]) -> Any:
        shift = 0.2 * np.sin(2 * np.pi * 2 * ticks[index] / 1000)
        matrix = np.array([[1, 0, shift], [0, 1, 0]], np.float32)
        return cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_CUBIC, borderMode=2)

    clip("in.mkv", ticks=ticks, time_base=Fraction(1, 1000), size=(128, 96), picture=swaying)
    args = ["in.mkv", "-o", "out.mkv", "--fl", "1", "--fh", "4", "--alpha", "10"]
    assert magnify(*args, model="fast") == 0
    with VideoSource("out.mkv") as video:
        frames = list(video)
    times = np.array([frame.time for frame in frames])
    assert times == pytest.approx((np.array(ticks) - ticks[0]) / 1000, abs=1e-3)
    grey = [cv2.cvtColor(frame.image, cv2.COLOR_BGR2GRAY).astype(np.float32) for frame in frames]
    path = np.array([cv2.phaseCorrelate(grey[0], each)[0][0] for each in grey])
    assert np.ptp(path) > 4 * 0.4  # it was magnified
    hz = np.arange(0.5, 8, 0.01)
    spectrum = [abs(np.sum((path - path.mean()) * np.exp(-2j * np.pi * f * times))) for f in hz]
    assert hz[np.argmax(spectrum)] == pytest.approx(2, rel=0.05)


def y4m(path: Path, rate: str) -> Path:
    """Y4M of nine pictures with the given rate in its header."""
    picture = bytes([90]) * (64 * 48) + bytes([128]) * (64 * 48 // 2)
    head = f"YUV4MPEG2 W64 H48 {rate} Ip A1:1 C420jpeg\n".encode()
    path.write_bytes(head + 9 * (b"FRAME\n" + picture))
    return path


def avi(clip: MakeClip, scale: int, rate: int, microseconds: int) -> Path:
    """AVI of nine pictures, with rates in the stream header and in the file header."""
    path = clip("in.avi", frames=9, codec="mjpeg", pixel_format="yuvj420p")
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.index(b"avih") + 8, microseconds)
    struct.pack_into("<II", data, data.index(b"strh") + 28, scale, rate)
    path.write_bytes(data)
    return path


BAND = ["--fl", "1", "--fh", "3"]


@pytest.mark.parametrize("rate", ["F0:0", "F0:1", "F30:0", ""])
def test_y4m_without_a_rate(rate: str) -> None:
    """I06: 0:0 means unknown in Y4M; it counts as 25, as in FFmpeg."""
    path = y4m(Path("in.y4m"), rate)
    assert magnify("in.y4m", "-o", "out.mkv", *BAND) == 0
    with path.open("rb") as stream, Y4mPipe(stream) as pipe:
        assert pipe.fps == 25
        assert len(list(pipe)) == 9
    with VideoSource("out.mkv") as video:
        times = [frame.time for frame in video]
    assert times == pytest.approx([index / 25 for index in range(9)], abs=1e-3)


@pytest.mark.parametrize(
    ("scale", "rate", "microseconds", "fps"),
    [(0, 0, 33_333, 30), (0, 30, 33_333, 30), (1, 0, 33_333, 30), (0, 0, 0, 25)],
)
def test_an_avi_without_a_rate(
    scale: int, rate: int, microseconds: int, fps: float, clip: MakeClip
) -> None:
    """I06: the file's rate replaces a missing rate of the stream; 25 if both are missing."""
    avi(clip, scale, rate, microseconds)
    assert magnify("in.avi", "-o", "out.mkv", *BAND) == 0
    with VideoSource("out.mkv") as video:
        times = [frame.time for frame in video]
    assert times == pytest.approx([index / fps for index in range(9)], abs=1e-3)


@pytest.mark.parametrize(
    "size", [(321, 241), (1, 1), (2, 2), (17, 3), (4096, 16), (240, 320)], ids=str
)
def test_sizes_are_kept_through_a_model(
    size: tuple[int, int], clip: MakeClip, capsys: pytest.CaptureFixture[str]
) -> None:
    """I04: also with a real model; MP4 has even sizes, which is said."""
    clip("in.mkv", frames=3, size=size, pixel_format="yuv444p")
    even = (size[0] + size[0] % 2, size[1] + size[1] % 2)
    for name, expected in (("out.mkv", size), ("out.mp4", even)):
        assert magnify("in.mkv", "-o", name, model="fast") == 0
        assert [each.shape[1::-1] for each in decoded(Path(name))] == [expected] * 3
        said = capsys.readouterr().err
        assert "library" not in said
        assert ("even numbers" in said) == (expected != size)


FORMATS = [
    ("libx264", "yuv420p10le", None, "has 10 bits per channel"),
    ("libx265", "yuv420p10le", (1, 9, 9, 16), "is HDR (PQ)"),
    ("libx265", "yuv420p10le", (1, 9, 9, 18), "is HDR (HLG)"),
    ("ffv1", "yuv444p12le", None, "has 12 bits per channel"),
    ("ffv1", "gray16le", None, "has 16 bits per channel"),
    ("libx264", "yuv422p", None, None),
    ("libx264", "yuv444p", None, None),
    ("libx264", "yuvj420p", None, None),
    ("ffv1", "gray", None, None),
    ("ffv1", "bgra", None, None),
    ("libx264", "yuv420p", (2, 1, 1, 1), None),
]


@pytest.mark.parametrize(("codec", "pixels", "tags", "warning"), FORMATS)
def test_all_pixel_formats_are_kept(
    codec: str,
    pixels: str,
    tags: tuple[int, int, int, int] | None,
    warning: str | None,
    clip: MakeClip,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """I07: at alpha 1 within 1.5 grey levels of the decoded input; a warning if bits are lost."""
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    clip(
        "in.mkv", frames=4, size=(160, 120), codec=codec, pixel_format=pixels, tags=tags,
        picture=smooth, options=options,
    )  # fmt: skip
    assert magnify("in.mkv", "-o", "out.mkv", "--alpha", "1", model="fast") == 0
    pairs = zip(decoded(Path("in.mkv")), decoded(Path("out.mkv")), strict=True)
    for before, after in pairs:
        assert np.abs(before.astype(int) - after).mean() <= 1.5
    said = capsys.readouterr().err
    assert warning is None or warning in said
    if warning is None:
        assert said == ""
    with VideoSource("in.mkv") as before, VideoSource("out.mkv") as after:
        assert after.colour == before.colour.writable


@pytest.mark.parametrize(("options", "tag"), [([], 6), (["--matrix", "bt709"], 1)])
def test_the_matrix_of_y4m(options: list[str], tag: int, tmp_path: Path) -> None:
    """I07."""
    (tmp_path / "a.y4m").write_bytes(coloured_y4m(tag))
    assert magnify("a.y4m", "-o", "a.mp4", "--alpha", "1", *options) == 0
    assert decoded(Path("a.mp4"))[1][24, 32].astype(int) == pytest.approx(BLUE, abs=4)


def test_interlaced_and_paletted_videos(clip: MakeClip, capsys: pytest.CaptureFixture[str]) -> None:
    """I07."""
    options = {"flags": "+ilme+ildct", "x264-params": "tff=1"}
    clip("lines.mkv", frames=4, size=(160, 128), picture=smooth, options=options)
    for number, (option, said) in enumerate(
        [("--deinterlace", "are deinterlaced"), ("--no-deinterlace", "looks like motion")]
    ):
        assert magnify("lines.mkv", "-o", f"{number}.mkv", option) == 0
        warning = capsys.readouterr().err
        assert "is interlaced" in warning
        assert said in warning
    for picture in (smooth, flat):
        clip(
            "few.gif", frames=4, fps=Fraction(10), size=(160, 120), codec="gif",
            pixel_format="rgb8", picture=picture,
        )  # fmt: skip
        args = ["few.gif", "-o", "b.mkv", "--overwrite", "--alpha", "1"]
        assert magnify(*args, model="fast") == 0
        # MKV keeps a colour for each pixel; one for 2x2 pixels would change dithered dots by 10 to
        # 16 grey levels on average.
        for before, after in zip(decoded(Path("few.gif")), decoded(Path("b.mkv")), strict=True):
            assert np.abs(before.astype(int) - after).mean() <= 2.5


NAMES = [
    "a b.mp4", "ünï.mp4", "-x.mp4", "%03d.mp4", "a\nb.mp4", "a.mp4:Zone", "[1].mp4", "'\".mp4",
    "x" * 240 + ".mp4",
]  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has fewer names")
@pytest.mark.parametrize("name", NAMES)
def test_special_characters_in_names(name: str, clip: MakeClip, tmp_path: Path) -> None:
    """I10: names are not expanded, split or read as options."""
    clip("in.mp4", frames=3).rename(tmp_path / name)
    assert magnify(f"./{name}") == 0
    (output,) = (p for p in tmp_path.iterdir() if ".mag20" in p.name and p.suffix == ".mp4")
    assert len(decoded(output)) == 3


def test_a_name_of_maximal_length(clip: MakeClip, capsys: pytest.CaptureFixture[str]) -> None:
    """I10: the default name of the output would be too long; -o names another one."""
    name = "x" * 251 + ".mp4"
    clip("in.mp4", frames=3).rename(name)
    assert magnify(name) == 2
    assert "name is too long" in capsys.readouterr().err
    assert magnify(name, "-o", "out.mp4") == 0


def test_links_are_followed_and_the_input_is_safe(
    clip: MakeClip, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """I10: the output is the input under another name."""
    clip("in.mp4", frames=3)
    (tmp_path / "link.mp4").symlink_to(tmp_path / "in.mp4")
    os.link(tmp_path / "in.mp4", tmp_path / "hard.mp4")
    before = (tmp_path / "in.mp4").read_bytes()
    for output in ("in.mp4", "link.mp4", "hard.mp4", "./in.mp4"):
        assert magnify("in.mp4", "-o", output, "--overwrite") == 2
        assert "it is the input" in capsys.readouterr().err
    assert magnify("link.mp4") == 0
    assert (tmp_path / "in.mp4").read_bytes() == before


def test_two_runs_give_identical_files(clip: MakeClip) -> None:
    """I12: bit for bit, with the real model."""
    clip("in.mp4", frames=12, size=(96, 64), picture=smooth)
    sums = []
    for name in ("one.mp4", "two.mp4"):
        assert magnify("in.mp4", "-o", name, "--fl", "2", "--fh", "5", model="fast") == 0
        pictures = decoded(Path(name))
        sums.append(hashlib.sha256(b"".join(each.tobytes() for each in pictures)).hexdigest())
    assert sums[0] == sums[1]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no fifos here")
def test_other_data_are_refused_immediately(
    clip: MakeClip,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """I01: one line, exit 2, nothing written."""
    clip("ok.mp4", frames=2)
    Path("empty.mp4").touch()
    Path("text.mp4").write_text("hello\n")
    Path("list.mp4").write_text("#EXTM3U\nfile:///etc/passwd\n")
    Path("concat.mp4").write_text("ffconcat version 1.0\nfile 'ok.mp4'\n")
    Path("folder.mp4").mkdir()
    Path("picture.mp4").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    Path("locked.mp4").write_bytes(Path("ok.mp4").read_bytes())
    Path("locked.mp4").chmod(0)
    if os.access("locked.mp4", os.R_OK):  # root may read anything
        monkeypatch.setattr(os, "access", lambda path, mode: "locked" not in str(path))
    os.mkfifo("fifo.mp4")
    with av.open("sound.mp4", "w") as output:
        Clip()._play(output, Clip()._sound(output, "aac"), 1.0)
    server = socket.socket(socket.AF_UNIX)
    server.bind("socket.mp4")
    server.close()
    before = sorted(tmp_path.iterdir())
    names = (
        "empty", "text", "list", "concat", "folder", "picture", "fifo", "missing", "sound",
        "socket", "locked",
    )  # fmt: skip
    for name in names:
        began = time.monotonic()
        assert magnify(f"{name}.mp4") == 2
        assert time.monotonic() - began < 5  # without waiting for a pipe or a socket
        said = capsys.readouterr().err
        assert said.startswith("error: cannot open")
        assert said.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


_SHORT = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
from rtmag.realtime.cli.main import main
main()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit of memory")
def test_too_little_memory_is_said_in_a_line(clip: MakeClip, tmp_path: Path) -> None:
    """F15: 4K within 2 GB."""
    clip("in.mp4", frames=3, size=(3840, 2160))
    for model in ("standard", "fast"):
        run = [sys.executable, "-c", _SHORT, "file", "in.mp4", "out.mp4", "--model", model]
        done = subprocess.run(run, env=ENVIRONMENT, capture_output=True, text=True, check=False)
        assert done.returncode == 1, done.stderr
        assert "not enough memory" in done.stderr
        assert "--motion-scale" in done.stderr
        assert "Traceback" not in done.stderr
        assert not Path("out.mp4").exists()


def test_packets_of_hdr_keep_their_tags(clip: MakeClip) -> None:
    """I07: PQ stays PQ, so players display it like the input."""
    clip(
        "in.mp4", frames=3, codec="libx265", pixel_format="yuv420p10le", tags=(1, 9, 9, 16),
        options={"x265-params": "log-level=none"},
    )  # fmt: skip
    assert magnify("in.mp4", "-o", "out.mp4") == 0
    with av.open("out.mp4") as container:
        context = container.streams.video[0].codec_context
        assert (context.color_primaries, context.color_trc, context.colorspace) == (9, 16, 9)
