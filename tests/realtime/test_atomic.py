"""Files are written whole or not at all."""

from pathlib import Path

import pytest

from rtmag.realtime.atomic import atomic_write


def test_a_file_is_replaced_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_text("old")
    with atomic_write(path) as part:
        part.write_text("new")
        assert (part.parent, part.name) == (tmp_path, "model.part.onnx")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_after_an_exception_the_old_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text("old")
    with pytest.raises(OSError, match="disk full"), atomic_write(path) as part:
        part.write_text("ne")
        raise OSError("disk full")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
