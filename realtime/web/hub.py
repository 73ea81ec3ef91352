"""The newest of everything, for whoever watches.

There is room for one picture, one status and one of each other topic: a viewer that is slow skips
what was replaced meanwhile, so no queue grows however many stall. All of it lives on the server's
event loop; `publish` and the counts may be used from other threads.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from rtmag.realtime.web.messages import Refused, Request, parse

PICTURE, MOTION = "picture", "motion"

ABORT = "rtmag.abort"
"""Key of the ASGI scope's extensions: a function that aborts the connection."""

PATIENCE = 10.0
"""Seconds in which a viewer must take what was sent."""


class Hub:
    """Topics and viewers.

    Args:
        loop: the server's event loop.
        ask: takes the valid requests of viewers, on the event loop; may raise Refused.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, ask: Callable[[Request], None]) -> None:
        self._loop = loop
        self._ask = ask
        self._numbers = itertools.count(1)
        self.topics: dict[str, tuple[int, str | bytes]] = {}
        """The newest of each, with a number that tells it from earlier ones."""
        self.viewers: set[WebSocketViewer] = set()
        self.watching = 0
        """How many want pictures."""
        self.measuring = 0
        """How many want the motion."""
        self.joined = 0
        """How often somebody began to want something: the newest picture may have to be made."""

    def publish(self, topic: str, data: str | bytes) -> None:
        """Replace a topic; from any thread, and without effect once the server has ended."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._replace, topic, data)

    def _replace(self, topic: str, data: str | bytes) -> None:
        self.topics[topic] = (next(self._numbers), data)
        for viewer in self.viewers:
            viewer.changed.set()

    def count(self) -> None:
        """Somebody came, left or wants something else."""
        before = self.watching, self.measuring
        self.watching = sum(viewer.watch for viewer in self.viewers)
        self.measuring = sum(viewer.panel for viewer in self.viewers)
        if self.watching == 0:
            self.topics.pop(PICTURE, None)  # whoever comes next must not see it as new
        if self.measuring == 0:
            self.topics.pop(MOTION, None)
        self.joined += self.watching > before[0] or self.measuring > before[1]

    def ask(self, request: Request) -> None:
        """Hand a request to the magnifier's thread."""
        self._ask(request)


class WebSocketViewer:
    """One browser."""

    def __init__(self, socket: WebSocket, hub: Hub) -> None:
        self._socket = socket
        self._hub = hub
        self._sent: dict[str, int] = {}
        self._refusals: deque[str] = deque(maxlen=4)
        self._comparing = False
        self.changed = asyncio.Event()
        self.watch = True
        self.panel = False

    async def serve(self) -> None:
        """Talk until the browser leaves, or takes nothing for too long."""
        self._hub.viewers.add(self)  # before it waits for anything: the viewers are counted
        try:
            await self._socket.accept()
            self._hub.count()
            self.changed.set()
            sender = asyncio.create_task(self._send())
            try:
                await self._listen()
            finally:
                sender.cancel()
                await asyncio.gather(sender, return_exceptions=True)
        except (WebSocketDisconnect, OSError):
            pass
        finally:
            self._hub.viewers.discard(self)
            self._hub.count()
            if self._comparing:  # nobody holds the key any longer
                self._hub.ask(Request({"original": False}))

    async def _listen(self) -> None:
        while self._socket.client_state is WebSocketState.CONNECTED:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            try:
                self._take(parse(message.get("text") or ""))
            except Refused as refusal:
                self._refusals.append(str(refusal))
                self.changed.set()

    def _take(self, request: Request) -> None:
        if request.watch is not None:
            self.watch = request.watch
        if request.panel is not None:
            self.panel = request.panel
        self._hub.count()
        self._comparing = request.changes.get("original", self._comparing)
        self._hub.ask(request)

    async def _send(self) -> None:
        try:
            while True:
                await self.changed.wait()
                self.changed.clear()
                await asyncio.wait_for(self._send_news(), PATIENCE)
        except (TimeoutError, WebSocketDisconnect, OSError, RuntimeError):
            # What it never took would keep the connection open for ever.
            self._socket.scope["extensions"][ABORT]()

    async def _send_news(self) -> None:
        while self._refusals:
            await self._socket.send_json({"error": self._refusals.popleft()})
        for topic in list(self._hub.topics):
            number, data = self._hub.topics.get(topic, (0, ""))  # it may go while others are sent
            wanted = {PICTURE: self.watch, MOTION: self.panel}.get(topic, True)
            if number > self._sent.get(topic, 0) and wanted:
                self._sent[topic] = number
                if isinstance(data, bytes):
                    await self._socket.send_bytes(data)
                else:
                    await self._socket.send_text(data)
