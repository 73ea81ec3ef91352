"""Reading of regular files of bounded size."""

import os
from pathlib import Path

import pytest

from rtmag.realtime.errors import ModelIncompatible
from rtmag.realtime.models import read_model
from rtmag.realtime.regular_file import read_regular


def test_content_up_to_the_limit_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_regular(path, 5) == b"12345"
    with pytest.raises(OSError, match="larger than") as caught:
        read_regular(path, 4)
    assert caught.value.filename == str(path)


@pytest.mark.skipif(os.name != "posix", reason="needs named pipes and devices")
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "huge"])
def test_a_model_must_be_a_regular_file_of_bounded_size(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.onnx"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        with path.open("wb") as file:
            file.truncate(3 << 30)  # sparse
    reasons = {"huge": "larger than 512 MB", "folder": "(?i:is a directory)"}
    with pytest.raises(ModelIncompatible, match=reasons.get(kind, "not a regular file")):
        read_model(path)
