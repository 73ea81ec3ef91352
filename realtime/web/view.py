"""The web view as a sink: takes frames from the loop, gives it what viewers ask for.

The loop's thread only drops its frames into a slot and picks up requests. Pictures are laid out and
encoded in a thread of their own, once for all viewers, and only while somebody watches.
"""

import json
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rtmag.realtime.analysis.motion import MotionMeter
from rtmag.realtime.controls import Controls, Layout
from rtmag.realtime.environment import rtmag_version
from rtmag.realtime.frame import Frame
from rtmag.realtime.magnifier import Region
from rtmag.realtime.opencv import cv2
from rtmag.realtime.presets import PRESETS
from rtmag.realtime.sinks.sink import BaseSink
from rtmag.realtime.sources.latest import LatestSlot
from rtmag.realtime.view.overlay import lay_out
from rtmag.realtime.web.hub import MOTION, PICTURE
from rtmag.realtime.web.messages import Refused, Request
from rtmag.realtime.web.server import Server

_QUALITY = 85  # of 100: noise of a JPEG must not look like motion

_STATUS_EVERY = 0.25

_MOTION_EVERY = 0.1


@dataclass(frozen=True, slots=True)
class _Shot:
    """A pair of frames and how to show them."""

    original: Frame
    magnified: Frame
    layout: Layout
    wipe: float
    region: Region | None


class WebView(BaseSink):
    """A view in the browsers of whoever opens its address.

    Args:
        controls: changed by viewers, on the thread that polls.
        name: of the source, for the page.
        host: name or address to listen on.
        port: None is 8089 or one of the next that is free.
        max_viewers: how many may watch at once; more are refused with 503.
        token: the secret of the address, the same over many runs; None is one by chance.

    Raises:
        OptionError: no such host, or the token can be guessed.
        SinkUnavailable: the port is in use.
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
    ) -> None:
        self._controls = controls
        self._lock = threading.Lock()
        self._changes: dict[str, Any] = {}
        self._keys: deque[str] = deque(maxlen=16)
        self._figures: dict[str, Any] = {}
        self._told: dict[str, Any] = {}
        self._told_at = 0.0
        self._polled = time.monotonic()
        self._shown: tuple[object, ...] = ()
        self._meter = MotionMeter()
        self._measured_at = 0.0
        self._closed = False
        self._slot: LatestSlot[_Shot] = LatestSlot()
        self.server = Server(
            host=host,
            port=port,
            max_viewers=max_viewers,
            token=token,
            ask=self._ask,
            figures=self._seen,
        )
        self.url = self.server.url
        about = {
            "source": name,
            "version": rtmag_version(),
            "presets": {each: asdict(preset) for each, preset in PRESETS.items()},
        }
        self.server.hub.publish("about", json.dumps({"about": about}))
        self._thread = threading.Thread(target=self._work, name="rtmag encoder", daemon=True)
        self._thread.start()

    # ---- the loop's side ----------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """True once nobody can watch any more."""
        return self._closed or not self.server.running

    def show(self, original: Frame, magnified: Frame, facts: Mapping[str, Any]) -> None:
        """Offer a pair of frames, or the same one again, to whoever watches."""
        self._tell({**facts, "size": magnified.size})
        controls, hub = self._controls, self.server.hub
        look = (controls.shown, controls.wipe)
        shown = (magnified.index, magnified.time, hub.joined, *look)
        if shown != self._shown and (hub.watching or hub.measuring):
            self._shown = shown
            self._slot.put(_Shot(original, magnified, *look, controls.region))

    def tell(self, facts: Mapping[str, Any]) -> None:
        """Tell the state of the run, without a picture."""
        self._tell(dict(facts))

    def write(self, frame: Frame) -> None:
        """Show a picture that has no original."""
        self.show(frame, frame, {})

    def poll(self) -> int | None:
        """Apply what viewers set since the last call; the key that one of them pressed, if any."""
        with self._lock:
            changes, self._changes = self._changes, {}
            key = self._keys.popleft() if self._keys else None
        if changes:
            self._controls.change(changes)
        self._tell(self._figures)
        return None if key is None else ord(key)

    def toggle_fullscreen(self) -> None:
        """Do nothing: browsers fill their own screens."""

    def close(self, *, finished: bool = True) -> None:
        """Let everyone go."""
        self._closed = True
        self._slot.close()
        self.server.close()
        self._thread.join(1.0)

    def _tell(self, figures: dict[str, Any]) -> None:
        """Send settings at once where they changed, the status a few times a second."""
        self._polled = now = time.monotonic()
        self._figures = figures
        settings = self._controls.settings()
        if settings != self._told:
            self._told = settings
            self.server.hub.publish("settings", json.dumps({"settings": settings}))
        if now - self._told_at >= _STATUS_EVERY and figures:
            self._told_at = now
            figures = {**figures, "viewers": len(self.server.hub.viewers)}
            self.server.hub.publish("status", json.dumps({"status": figures}))

    # ---- the server's side --------------------------------------------------------------------

    def _ask(self, request: Request) -> None:
        """Keep a request for the loop's thread; refuse a band that the frame rate cannot show."""
        fh, fps = request.changes.get("band", (0.0, 0.0))[1], self._controls.fps
        if fps is not None and not fh < fps / 2:
            raise Refused(
                f"motion up to {fh:.3g} Hz needs more than {2 * fh:.3g} frames a second; "
                f"{fps:.1f} come"
            )
        with self._lock:
            self._changes.update(request.changes)
            if request.key is not None:
                self._keys.append(request.key)

    def _seen(self) -> dict[str, Any]:
        return {**self._figures, "idle": time.monotonic() - self._polled}

    # ---- the encoder's side -------------------------------------------------------------------

    def _work(self) -> None:
        while not self._slot.ended:
            shot = self._slot.get(0.5)
            if shot is not None:
                if self.server.hub.watching:
                    self.server.hub.publish(PICTURE, _encode(shot))
                if self.server.hub.measuring:
                    self._measure(shot)

    def _measure(self, shot: _Shot) -> None:
        self._meter.add(shot.original, shot.region)
        if time.monotonic() - self._measured_at >= _MOTION_EVERY:
            self._measured_at = time.monotonic()
            motion = json.dumps({"motion": self._meter.data()})
            self.server.hub.publish(MOTION, motion)


def _encode(shot: _Shot) -> bytes:
    image = lay_out(shot.original.image, shot.magnified.image, shot.layout, shot.wipe)
    _, data = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, _QUALITY))
    return bytes(data)
