"""The view in a browser.

It has four threads. The frame loop puts frames into a slot and applies the viewers'
requests. The encoder thread takes the latest frames, lays them out and encodes a JPEG, once for all
viewers and only if a viewer shows pictures. The meter thread measures all frames if a viewer shows
the motion. The server thread sends and receives.
"""

import json
import queue
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from rtmag.realtime.controls import COLOURS, LAYOUTS, Controls, Layout, NamedRegion
from rtmag.realtime.environment import rtmag_version
from rtmag.realtime.errors import OptionError
from rtmag.realtime.filters import Band, Temporal
from rtmag.realtime.frame import Frame, Region
from rtmag.realtime.opencv import cv2
from rtmag.realtime.presets import LIVE_NAME, PRESETS
from rtmag.realtime.report.contents import ReportContents, described_settings
from rtmag.realtime.sinks.sink import BaseSink
from rtmag.realtime.sources.latest import LatestSlot
from rtmag.realtime.view.overlay import lay_out
from rtmag.realtime.view.viewer import Facts
from rtmag.realtime.web.hub import MOTION, PICTURE, SPECTRA
from rtmag.realtime.web.instrument import Instrument
from rtmag.realtime.web.messages import InvalidRequest, Request
from rtmag.realtime.web.server import Server

_JPEG_QUALITY = 85  # of 100; lower values add noise that looks like motion

_STATUS_INTERVAL = 0.25  # seconds

_MOTION_INTERVAL = 0.1  # seconds

_WAITING = 8
"""Frames that wait to be measured. If there are more, a live source drops one, and a file waits."""

_LONGEST_WAIT = 1.0  # seconds that a file waits


@dataclass(frozen=True, slots=True)
class _Task:
    """A pair of frames for the encoder thread, with the settings to show them."""

    original: Frame
    magnified: Frame
    layout: Layout
    wipe: float
    region: Region | None
    regions: tuple[NamedRegion, ...]
    band: Band | None
    """Edges in Hz between which the user looks for motion; None: all frequencies."""
    position: float | None
    """Seconds from the first frame of the file that is played; None: a live source."""


class WebView(BaseSink):
    """A view that serves a web page.

    Args:
        controls: changed by the viewers, inside `poll`.
        name: name of the source, shown on the page.
        host: host name or IP address to listen on.
        port: None: 8089 or the next free port; 0: any free port.
        max_viewers: limit of viewers at the same time; others receive HTTP status 503.
        token: secret that other machines need; None: a random one for this run.
        capture_fps: rate in 1/s at which slow motion was filmed; None: the times of the frames.

    Raises:
        OptionError: the host is unknown, or the token can be guessed.
        SinkUnavailable: the port is in use or not permitted.
    """

    def __init__(
        self,
        controls: Controls,
        name: str,
        *,
        host: str = "127.0.0.1",
        port: int | None = None,
        max_viewers: int = 16,
        token: str | None = None,
        capture_fps: float | None = None,
    ) -> None:
        self._controls, self._name = controls, name
        self._capture_fps = capture_fps
        self._lock = threading.Lock()
        self._changes: dict[str, Any] = {}
        self._keys: deque[str] = deque(maxlen=16)
        self._status: dict[str, Any] = {}
        self._sent_settings: dict[str, Any] = {}
        self._status_sent = 0.0  # monotonic time in seconds, as are the next two
        self._last_iteration = time.monotonic()
        self._motion_sent = 0.0
        self._last_task: tuple[object, ...] = ()
        self._instrument = Instrument()
        self._measured: _Task | None = None
        """The last task that was measured."""
        self._first_time: float | None = None
        """Time in seconds of the first frame that was measured."""
        self._informed = 0
        """Number of subscriptions when the waveforms were last sent."""
        self._closed = False
        self._slot: LatestSlot[_Task] = LatestSlot()
        self._unmeasured: queue.Queue[_Task | None] = queue.Queue(_WAITING)
        self.server = Server(
            host=host,
            port=port,
            max_viewers=max_viewers,
            token=token,
            on_request=self._request,
            statistics=self._health,
            measurement=self._contents,
        )
        self.url = self.server.url
        about = {
            "source": name,
            "version": rtmag_version(),
            "presets": {key: preset.data() for key, preset in PRESETS.items()},
            "colours": COLOURS,
            "layouts": LAYOUTS,
        }
        self.server.hub.publish("about", json.dumps({"about": about}))
        self._publish_recordings()
        self._threads = [
            threading.Thread(target=self._encode_loop, name="rtmag encoder", daemon=True),
            threading.Thread(target=self._measure_loop, name="rtmag meter", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    # ---- called by the frame loop -------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """True once the view was closed or the server has ended."""
        return self._closed or not self.server.running

    def show(self, original: Frame, magnified: Frame, controls: Controls, facts: Facts) -> None:
        """Publish the state of the run and, if a viewer needs it, encode the pair of frames."""
        self._publish({**asdict(facts), "size": magnified.size})
        hub, playback = self.server.hub, controls.playback
        if playback is not None:
            playback.complete = hub.motion_viewers > 0
        task = (magnified.index, magnified.time, hub.subscriptions, controls.shown, controls.wipe)
        wanted = hub.picture_viewers or hub.motion_viewers
        if task == self._last_task or not wanted:
            return
        self._last_task = task
        pair = _Task(
            original,
            magnified,
            controls.shown,
            controls.wipe,
            controls.region,
            controls.regions,
            _watched_band(controls),
            None if playback is None else playback.position,
        )
        if hub.picture_viewers:
            self._slot.put(pair)
        if hub.motion_viewers:
            with suppress(queue.Full):
                self._unmeasured.put(pair, playback is not None, _LONGEST_WAIT)

    def show_message(self, facts: Facts) -> None:
        """Publish the state of the run while there is no picture."""
        self._publish(asdict(facts))

    def poll(self) -> int | None:
        """Apply the changes made by viewers; return the code of a key that one pressed, if any."""
        with self._lock:
            changes, self._changes = self._changes, {}
            key = self._keys.popleft() if self._keys else None
        if changes:
            self._controls.change(changes)
        self._publish(self._status)
        return None if key is None else ord(key)

    def toggle_fullscreen(self) -> None:
        """Do nothing: the page switches to full screen by itself."""

    def offer(self, recording: Path) -> None:
        """List a finished recording on the page, for download; from any thread."""
        self.server.downloads.add(recording)
        self._publish_recordings()

    def close(self, *, finished: bool = True) -> None:
        """Disconnect all viewers and free the port. Safe to call twice."""
        self._closed = True
        self._slot.close()
        self.server.close()
        with suppress(queue.Full):
            self._unmeasured.put(None, timeout=_LONGEST_WAIT)
        for thread in self._threads:
            thread.join(1.0)

    def _publish(self, status: dict[str, Any]) -> None:
        """Publish the settings if they changed, and the status four times per second."""
        self._last_iteration = now = time.monotonic()
        self._status = status
        settings = self._controls.settings()
        if settings != self._sent_settings:
            self._sent_settings = settings
            self.server.hub.publish("settings", json.dumps({"settings": settings}))
        if now - self._status_sent >= _STATUS_INTERVAL and status:
            self._status_sent = now
            status = {**status, "viewers": len(self.server.hub.viewers)}
            self.server.hub.publish("status", json.dumps({"status": status}))

    def _publish_recordings(self) -> None:
        recordings = {"recordings": self.server.downloads.listed()}
        self.server.hub.publish("recordings", json.dumps(recordings))

    # ---- called on the server thread ----------------------------------------------------------

    def _request(self, request: Request) -> None:
        """Store a request until `poll`; refuse what the frame rate or the model does not allow."""
        fps, changes = self._controls.fps, request.changes
        if changes.get("region") is not None and self._controls.fixed_size:
            raise InvalidRequest("a region is not possible: the model works at one size only")
        if fps is not None:
            try:
                if "band" in changes:
                    Temporal(*changes["band"]).check(fps)
                elif "filter" in changes:  # of a preset, which is cut to the rate
                    changes["filter"].fitted(fps)
            except OptionError as error:
                raise InvalidRequest(str(error)) from error
        with self._lock:
            self._changes.update(request.changes)
            if request.key is not None:
                self._keys.append(request.key)

    def _health(self) -> dict[str, Any]:
        return {**self._status, "idle": time.monotonic() - self._last_iteration}

    def _contents(self) -> ReportContents | None:
        """The measurement of the regions that are watched at present, for a download."""
        controls, task = self._controls, self._measured
        band, scale = _watched_band(controls), controls.mm_per_px
        measurement = self._instrument.measurement(band, scale)
        if task is None or not any(len(each.times) for each in measurement.regions):
            return None
        settings = described_settings(measurement, self._capture_fps)
        return ReportContents(
            measurement=replace(measurement, settings=settings),
            source=self._name,
            image=task.original.image,
            made=datetime.now().astimezone(),
        )

    # ---- the encoder thread and the meter thread -------------------------------------------

    def _encode_loop(self) -> None:
        while not self._slot.ended:
            task = self._slot.get(0.5)
            if task is not None and self.server.hub.picture_viewers:
                self.server.hub.publish(PICTURE, _encode(task))

    def _measure_loop(self) -> None:
        while not self._closed and (task := self._unmeasured.get()) is not None:
            self._measure(task)

    def _measure(self, task: _Task) -> None:
        hub, instrument = self.server.hub, self._instrument
        instrument.add(task.original, self._seconds(task), task.regions, task.region)
        self._measured = task
        if time.monotonic() - self._motion_sent >= _MOTION_INTERVAL:
            self._motion_sent = time.monotonic()
            joined, self._informed = hub.subscriptions != self._informed, hub.subscriptions
            hub.publish(MOTION, instrument.waveforms(history=joined))
            spectra = instrument.spectra(task.band)
            if spectra is not None:
                hub.publish(SPECTRA, spectra)

    def _seconds(self, task: _Task) -> float:
        """Time of a frame: in the file that is played, else since the first measured frame."""
        frame, rate, playback = task.original, self._capture_fps, self._controls.playback
        if task.position is not None and playback is not None:
            slower = playback.fps / rate if playback.fps and rate else 1.0
            return task.position * slower
        time = frame.time if rate is None else frame.index / rate
        self._first_time = time if self._first_time is None else self._first_time
        return time - self._first_time


def _watched_band(controls: Controls) -> Band | None:
    """Band that the user chose; None if there is none but that which live views begin with."""
    return None if controls.preset == LIVE_NAME else controls.filter.band


def _encode(task: _Task) -> bytes:
    image = lay_out(task.original.image, task.magnified.image, task.layout, task.wipe)
    _, data = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY))
    return bytes(data)
