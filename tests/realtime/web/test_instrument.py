"""Instrument: the regions that viewers draw, in messages for the page."""

import json
import time
from typing import Any

import numpy as np
import pytest

from rtmag.realtime.controls import NamedRegion
from rtmag.realtime.frame import Frame
from rtmag.realtime.sources.scene.scene import SceneSource
from rtmag.realtime.web.instrument import Instrument

PICTURE = np.random.default_rng(0).integers(0, 255, (480, 640, 3)).astype(np.uint8)
A, B = NamedRegion("A", (20, 20, 60, 60)), NamedRegion("B", (120, 20, 60, 60))


def feed(
    instrument: Instrument, first: int, count: int, *regions: NamedRegion, **options: Any
) -> None:
    for index in range(first, first + count):
        frame = Frame(options.get("image", PICTURE), index / 30, index)
        instrument.add(frame, index / 30, regions, options.get("magnified"))


def sent(instrument: Instrument, *, history: bool = False) -> list[tuple[str, int, int]]:
    """Name, run and number of samples of each region in the next message."""
    parts = json.loads(instrument.waveforms(history=history))["motion"]
    return [(part["name"], part["run"], len(part["t"])) for part in parts]


def test_regions_that_stay_are_measured_on() -> None:
    instrument = Instrument()
    feed(instrument, 0, 3)
    assert sent(instrument) == [("picture", 1, 3)]
    feed(instrument, 3, 2, magnified=(0, 0, 50, 50))
    assert sent(instrument) == [("magnified region", 2, 2)]
    feed(instrument, 5, 4, A)
    feed(instrument, 9, 2, A, B)
    assert sent(instrument, history=True) == [("A", 3, 6), ("B", 4, 2)]
    feed(instrument, 11, 1, B._replace(name="shaft"), A)
    assert sent(instrument, history=True) == [("shaft", 4, 3), ("A", 3, 7)]
    feed(instrument, 12, 1, A, image=PICTURE[:240])
    assert sent(instrument) == [("A", 5, 1)]


def test_a_viewer_that_misses_messages_has_no_gap() -> None:
    instrument = Instrument()
    pieces = []
    for first in range(0, 120, 3):
        feed(instrument, first, 3, A)
        (part,) = json.loads(instrument.waveforms(history=False))["motion"]
        pieces.append(part["t"])
    assert max(map(len, pieces)) <= 31
    received = {time for piece in pieces[::8] for time in piece}  # the last one ends at frame 98
    assert len(received) == 99


def test_spectra_come_in_turn_with_the_peaks_of_all_and_the_reading_in_the_band() -> None:
    with SceneSource((640, 480), 30.0, frames=90) as source:
        regions = [NamedRegion(each.name, each.region) for each in source.vibrations]
        instrument = Instrument()
        for frame in source:
            instrument.add(frame, frame.time, regions, None)
    assert judged(instrument, None) == {"tank": 2.0, "motor": 5.0}
    assert judged(instrument, (3.0, 8.0)) == {"tank": None, "motor": 5.0}
    measurement = instrument.measurement((3.0, 8.0), 0.5)
    assert (measurement.unit, measurement.scale, measurement.size) == ("mm", 0.5, (640, 480))
    assert measurement.region("motor").peaks[0].hz == pytest.approx(5, abs=0.05)
    assert measurement.fps == pytest.approx(30)


def judged(instrument: Instrument, band: tuple[float, float] | None) -> dict[str, float | None]:
    """Frequency of each region's reading, rounded; waits until both are judged in this band."""
    end, found = time.monotonic() + 20, {}
    count = 0
    while count < 2:
        assert time.monotonic() < end
        message = instrument.spectra(band)
        if message is None:
            time.sleep(0.01)
            continue
        count += 1
        found = {each["name"]: each for each in json.loads(message)["spectra"]}
    assert {name: round(each["peaks"][0][0], 1) for name, each in found.items()} == {
        "tank": 2.0, "motor": 5.0,
    }  # fmt: skip
    readings = {name: each["reading"] for name, each in found.items()}
    return {name: each and round(each["peak"][0], 1) for name, each in readings.items()}


@pytest.mark.alone
def test_eight_regions_take_two_milliseconds_a_frame() -> None:
    """Twice that is accepted, for slow machines; measured on 640 x 480."""
    regions = [NamedRegion(str(k), (20 + 70 * k, 100, 60, 60)) for k in range(8)]
    instrument, times = Instrument(), []
    for index in range(40):
        start = time.thread_time()
        feed(instrument, index, 1, *regions)
        times.append(time.thread_time() - start)
    assert np.median(times) < 4e-3
