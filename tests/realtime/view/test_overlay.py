"""Layouts, labels and text over a picture."""

import numpy as np
import pytest

from rtmag.realtime.view import overlay
from rtmag.realtime.view.keys import HELP
from tests.support.fakes import blank

BEFORE, AFTER = blank(40), blank(200)


def test_the_layout_magnified_is_the_magnified_picture() -> None:
    assert overlay.lay_out(BEFORE, AFTER, "magnified") is AFTER


def test_the_layout_original_is_the_original_with_a_label() -> None:
    assert overlay.lay_out(BEFORE, AFTER, "original") is BEFORE
    named = overlay.label(BEFORE, "original")
    assert named.shape == BEFORE.shape
    assert not (named == BEFORE).all()


def test_side_by_side_is_twice_as_wide() -> None:
    picture = overlay.lay_out(BEFORE, AFTER, "side")
    assert picture.shape == (48, 128, 3)
    assert (picture[:, :64] == 40).all()
    assert (picture[:, 64:] == 200).all()


def test_split_shows_both_parts_with_a_line_between_them() -> None:
    picture = overlay.lay_out(BEFORE, AFTER, "split")
    assert picture.shape == BEFORE.shape
    assert (picture[:, :30] == 40).all()
    assert (picture[:, 33:] == 200).all()
    assert (picture[:, 31:33] == 255).any()


def test_the_wipe_moves_the_line() -> None:
    picture = overlay.lay_out(BEFORE, AFTER, "split", 0.25)
    assert (picture[:, :15] == 40).all()
    assert (picture[:, 17:] == 200).all()
    for end, value in ((0.0, 200), (1.0, 40)):
        assert (overlay.lay_out(BEFORE, AFTER, "split", end)[:, 2:-2] == value).all()
        assert overlay.label(BEFORE, "split", end).shape == BEFORE.shape


def test_the_difference_is_signed_and_grey_without_motion() -> None:
    assert (overlay.lay_out(AFTER, AFTER, "difference") == 128).all()
    assert (overlay.lay_out(blank(100), blank(110), "difference") == 138).all()
    assert (overlay.lay_out(blank(110), blank(100), "difference") == 118).all()
    assert (overlay.lay_out(BEFORE, AFTER, "difference") == 255).all()


def test_arguments_are_not_modified() -> None:
    overlay.label(overlay.lay_out(BEFORE, AFTER, "split"), "split")
    overlay.write(AFTER, ["words"], corner="middle", alert=True)
    assert (BEFORE == 40).all()
    assert (AFTER == 200).all()


@pytest.mark.parametrize("corner", ["top", "bottom", "middle"])
@pytest.mark.parametrize("size", [(1, 1), (17, 3), (64, 48), (320, 240), (1920, 1080), (240, 2000)])
def test_text_fits_every_size(size: tuple[int, int], corner: overlay.Corner) -> None:
    image = blank(120, size)
    written = overlay.write(image, HELP, corner=corner)
    assert written.shape == image.shape
    assert (min(size) < 32) == bool((written == image).all())
    if min(size) >= 32:
        edges = [written[0], written[-1], written[:, 0], written[:, -1]]
        assert not any((edge > 200).any() for edge in edges), "letters touch the edge"


def test_text_is_legible_and_small() -> None:
    image = blank(120, (640, 480))
    written = overlay.write(image, ["30 fps  41 ms", "alpha 20  static"])
    changed = (written != image).any(2)
    rows, columns = np.nonzero(changed)
    assert 30 < rows.max() < 80
    assert 100 < columns.max() < 300
    assert (written[changed] > 200).any()
    assert (written[changed] < 60).any()


def test_an_alert_is_red() -> None:
    written = overlay.write(blank(0, (320, 240)), ["REC", "more"], alert=True).astype(int)
    red = (written[..., 2] > 200) & (written[..., 1] < 100)
    assert red.any()
    assert red.nonzero()[0].max() < 20


def test_both_halves_have_labels() -> None:
    image = overlay.lay_out(blank(0, (320, 240)), blank(0, (320, 240)), "side")
    written = overlay.label(image, "side")
    assert written.shape == image.shape
    assert written[:, :320].any()
    assert written[:, 320:].any()


def test_the_information_shows_rate_delay_and_settings() -> None:
    lines = overlay.info_lines(
        fps=29.6, latency_ms=41.2, dropped=3, alpha=20, mode="static", recording=True
    )
    assert lines == ["REC", "30 fps  41 ms  3 dropped", "alpha 20  static"]
    lines = overlay.info_lines(
        fps=4.21, latency_ms=None, dropped=0, alpha=31.25, mode="dynamic", recording=False
    )
    assert lines == ["4.2 fps", "alpha 31.2  dynamic"]


def test_control_characters_are_written_as_their_escapes() -> None:
    image = np.zeros((120, 400, 3), np.uint8)
    assert np.array_equal(
        overlay.write(image, ["a\x1b[2J\nb"]), overlay.write(image, ["a\\x1b[2J\\nb"])
    )
