"""The viewer: messages before the first frame, notices, alerts and keys."""

import numpy as np
import pytest

from rtmag.realtime.controls import Controls
from rtmag.realtime.frame import Frame
from rtmag.realtime.view import viewer as module
from rtmag.realtime.view.viewer import Facts, Viewer, draw
from tests.support.fakes import FakeView, blank

ORIGINAL, MAGNIFIED = Frame(blank(10), 0.0, 0), Frame(blank(200), 0.0, 0)


def test_message_is_shown_until_the_first_frame() -> None:
    facts = [Facts(), Facts(message="waiting for a camera (1 s)")]
    view = FakeView()
    viewer = Viewer(view, Controls(), lambda: facts[-1])
    viewer.idle()
    viewer.show(ORIGINAL, MAGNIFIED)
    viewer.idle()
    assert view.messages == ["waiting for a camera (1 s)"]
    assert len(view.frames) == 2


def test_notice_disappears_after_some_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_NOTICE_SECONDS", 0.0)
    view = FakeView()
    viewer = Viewer(view, Controls(info=False), Facts)
    viewer.say("gone")
    viewer.show(ORIGINAL, MAGNIFIED)
    monkeypatch.setattr(module, "_NOTICE_SECONDS", 60.0)
    viewer.say("shown")
    viewer.show(ORIGINAL, MAGNIFIED)
    without, with_notice = (len(np.unique(frame.image)) for frame in view.frames)
    assert without == 1
    assert with_notice > 1


@pytest.mark.parametrize("facts", [Facts(message="reconnecting"), Facts(warning="not magnified")])
def test_alerts_are_drawn_in_the_bottom_half(facts: Facts) -> None:
    picture = draw(ORIGINAL.image, MAGNIFIED.image, Controls(info=False), facts)
    height = picture.shape[0]
    assert (picture[: height // 2] == 200).all()
    assert (picture[height // 2 :] != 200).any()


def test_keys_change_the_controls_and_the_view() -> None:
    view, controls = FakeView("fc"), Controls()
    viewer = Viewer(view, controls, Facts)
    viewer.poll()
    viewer.poll()
    assert view.fullscreen
    assert controls.shown == "original"


def test_closing_the_view_quits() -> None:
    controls = Controls()
    Viewer(FakeView(close_after=0), controls, Facts).poll()
    assert controls.quit


def test_without_a_view_nothing_happens() -> None:
    viewer = Viewer(None, Controls(), Facts)
    viewer.show(ORIGINAL, MAGNIFIED)
    viewer.idle()
    viewer.close()
