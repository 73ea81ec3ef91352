"""Distribution of the latest data to all browsers.

Each topic (picture, status, settings, ...) holds only its latest value. A slow viewer skips values
that were replaced before it could take them, so no queue grows. The hub runs on the server's event
loop; only `publish` and the counts may be used from other threads.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from rtmag.realtime.web.downloads import ABORT, SEND_TIMEOUT
from rtmag.realtime.web.messages import InvalidRequest, Request, parse

PICTURE, MOTION, SPECTRA = "picture", "motion", "spectra"
"""Topics that a viewer can subscribe to, the last two together; it receives all others anyway."""


class Hub:
    """The topics and the viewers.

    Args:
        loop: the server's event loop.
        on_request: takes the valid requests of viewers, on the event loop; may raise
            InvalidRequest.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, on_request: Callable[[Request], None]
    ) -> None:
        self._loop = loop
        self.on_request = on_request
        self._versions = itertools.count(1)
        self.topics: dict[str, tuple[int, str | bytes]] = {}
        """Version and latest value of each topic; text is JSON, bytes are a JPEG image."""
        self.viewers: set[WebSocketViewer] = set()
        self.picture_viewers = 0
        """Number of viewers that are subscribed to pictures."""
        self.motion_viewers = 0
        """Number of viewers that are subscribed to the measured motion."""
        self.subscriptions = 0
        """Number of subscriptions so far; when it rises, the latest picture is sent again."""

    def publish(self, topic: str, data: str | bytes) -> None:
        """Replace the value of a topic, from any thread; no effect once the server has ended."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._replace, topic, data)

    def _replace(self, topic: str, data: str | bytes) -> None:
        self.topics[topic] = (next(self._versions), data)
        for viewer in self.viewers:
            viewer.changed.set()

    def recount(self) -> None:
        """Count the viewers again after one joined, left or changed its subscriptions."""
        pictures, motions = self.picture_viewers, self.motion_viewers
        self.picture_viewers = sum(viewer.wants_picture for viewer in self.viewers)
        self.motion_viewers = sum(viewer.wants_motion for viewer in self.viewers)
        if self.picture_viewers == 0:
            self.topics.pop(PICTURE, None)  # the next viewer must not see an outdated picture
        if self.motion_viewers == 0:
            self.topics.pop(MOTION, None)
            self.topics.pop(SPECTRA, None)
        self.subscriptions += self.picture_viewers > pictures or self.motion_viewers > motions


class WebSocketViewer:
    """One browser, connected through a WebSocket.

    Args:
        socket: not accepted yet.
        hub: provides the topics and takes the requests.
    """

    def __init__(self, socket: WebSocket, hub: Hub) -> None:
        self._socket = socket
        self._hub = hub
        self._sent: dict[str, int] = {}  # last version sent of each topic
        self._errors: deque[str] = deque(maxlen=4)
        self._comparing = False
        self.changed = asyncio.Event()
        """Set when there is something to send."""
        self.wants_picture = True
        self.wants_motion = False

    async def serve(self) -> None:
        """Send and receive until the browser leaves or a send times out."""
        self._hub.viewers.add(self)  # before the first await, so that the limit of viewers holds
        try:
            await self._socket.accept()
            self._hub.recount()
            self.changed.set()
            sender = asyncio.create_task(self._send())
            try:
                await self._receive()
            finally:
                sender.cancel()
                await asyncio.gather(sender, return_exceptions=True)
        except (WebSocketDisconnect, OSError):
            pass
        finally:
            self._hub.viewers.discard(self)
            self._hub.recount()
            if self._comparing:  # the message of the released key will not arrive
                self._hub.on_request(Request({"original": False}))

    async def _receive(self) -> None:
        while self._socket.client_state is WebSocketState.CONNECTED:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            try:
                self._handle(parse(message.get("text") or ""))
            except InvalidRequest as error:
                self._errors.append(str(error))
                self.changed.set()

    def _handle(self, request: Request) -> None:
        if request.watch is not None:
            self.wants_picture = request.watch
        if request.panel is not None:
            self.wants_motion = request.panel
        self._hub.recount()
        self._comparing = request.changes.get("original", self._comparing)
        self._hub.on_request(request)

    async def _send(self) -> None:
        try:
            while True:
                await self.changed.wait()
                self.changed.clear()
                await asyncio.wait_for(self._send_changes(), SEND_TIMEOUT)
        except (TimeoutError, WebSocketDisconnect, OSError, RuntimeError):
            # A normal close would wait for the unsent data without limit.
            self._socket.scope["extensions"][ABORT]()

    async def _send_changes(self) -> None:
        while self._errors:
            await self._socket.send_json({"error": self._errors.popleft()})
        for topic in list(self._hub.topics):
            # The topic may be removed during an await.
            version, data = self._hub.topics.get(topic, (0, ""))
            motion = self.wants_motion
            wanted = {PICTURE: self.wants_picture, MOTION: motion, SPECTRA: motion}
            subscribed = wanted.get(topic, True)
            if version > self._sent.get(topic, 0) and subscribed:
                self._sent[topic] = version
                if isinstance(data, bytes):
                    await self._socket.send_bytes(data)
                else:
                    await self._socket.send_text(data)
