"""The web server: the page, a WebSocket, health and metrics, behind access control."""

import asyncio
import ipaddress
import logging
import os
import random
import secrets
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, cast

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request as Handshake

from rtmag.realtime.errors import OptionError, SinkUnavailable
from rtmag.realtime.report.contents import ReportContents
from rtmag.realtime.web.access import MAX_HEADER, AccessControl, checked_token
from rtmag.realtime.web.downloads import ABORT, Downloads, MeasurementFiles
from rtmag.realtime.web.hub import Hub, WebSocketViewer
from rtmag.realtime.web.messages import Request
from rtmag.realtime.web.metrics import CONTENT_TYPE, Metrics

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

INDEX = "index.html"

PORT = 8089
"""The first port to try if none is given."""

_PORTS_TRIED = 20

_MAX_IDLE = 64  # open connections without a complete request header

_REQUEST_TIMEOUT = 5.0  # seconds until the request header must be complete

_MAX_MESSAGE = 1 << 16  # bytes, of a WebSocket message

_MESSAGE_RATE = 200.0  # per second that a viewer may send; the page sends fewer than 100

_MESSAGE_BURST = 500  # messages that may arrive at once, after the network was interrupted

_PIECE = 4096  # bytes that are parsed before the messages are counted

_LAST_WORDS = 1.0  # seconds for a disconnected viewer to read the reason

_STOP_TIMEOUT = 1.5  # seconds for the server thread to end

_HANG_SECONDS = 10.0  # the run is unhealthy if an iteration of the frame loop takes longer


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of the page."""

    content: bytes
    media_type: str


def read_page() -> dict[str, Asset]:
    """Read all files of the page, by file name; they are served from memory."""
    assets = {}
    for file in (files("rtmag.realtime.web") / "static").iterdir():
        media_type = _TYPES.get(file.name[file.name.rfind(".") :])
        if media_type is not None:
            assets[file.name] = Asset(file.read_bytes(), media_type)
    return assets


class Server:
    """HTTP and WebSocket server in a thread of its own; it runs until `close`.

    Args:
        host: name or address to listen on.
        port: None: 8089, or the next free port; 0: any free port.
        max_viewers: limit of viewers at the same time.
        on_request: takes the requests of viewers, on the server's thread.
        statistics: returns statistics of the run by name, for `/healthz` and `/metrics`; `idle` is
            the time in seconds since the last iteration of the frame loop.
        measurement: returns the measured motion for downloads; None while there is none. It is
            called on a thread of its own.
        token: secret for access from other machines; None: a random one.

    Raises:
        OptionError: the host is unknown, or the token can be guessed.
        SinkUnavailable: the port is in use or not permitted.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int | None,
        max_viewers: int,
        on_request: Callable[[Request], None],
        statistics: Callable[[], Mapping[str, Any]],
        measurement: Callable[[], ReportContents | None],
        token: str | None = None,
    ) -> None:
        self._max_viewers, self._statistics = max_viewers, statistics
        self.token = secrets.token_urlsafe(16) if token is None else checked_token(token)
        self._listener = _listen(host, port)
        self.address, self.port = self._listener.getsockname()[:2]
        self.page = read_page()
        self.downloads = Downloads()
        """The finished recordings, which viewers may download."""
        self._measurement_files = MeasurementFiles(measurement)
        self.metrics = Metrics(lambda: {**statistics(), "viewers": len(self.hub.viewers)})
        self.app = Starlette(
            routes=[
                Route("/healthz", self._health),
                Route("/metrics", self._metrics),
                Route("/", self._file),
                Route("/measurement.csv", self._measurement),
                Route("/measurement.html", self._measurement),
                Route("/{name}", self._file),
                Route("/recordings/{number}", self._recording),
                WebSocketRoute("/ws", self._watch),
            ],
            exception_handlers={HTTPException: _error, Exception: _error},
        )
        self.app.router.redirect_slashes = False  # every address has one spelling
        access = AccessControl(
            self.app,
            address=self.address,
            name=host,
            port=self.port,
            token=self.token,
            lasting=token is not None,
        )
        self.url = _url(self.address, self.port) + ("" if access.local else f"?token={self.token}")
        """Address of the page; it contains the token unless the server listens on loopback."""
        self._uvicorn = uvicorn.Server(_uvicorn_config(access, max_viewers))
        loop = asyncio.new_event_loop()
        self.hub = Hub(loop, on_request)
        self._runner = asyncio.Runner(loop_factory=lambda: loop)
        self._thread = threading.Thread(target=self._serve, name="rtmag web", daemon=True)
        self._thread.start()

    @property
    def full(self) -> bool:
        """True if the limit of viewers is reached."""
        return len(self.hub.viewers) >= self._max_viewers

    @property
    def running(self) -> bool:
        """True while the server thread runs."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Disconnect all viewers and free the port. Safe to call twice."""
        self._uvicorn.should_exit = self._uvicorn.force_exit = True
        self._thread.join(_STOP_TIMEOUT)

    def _serve(self) -> None:
        with self._runner as runner, self._listener:
            runner.run(self._uvicorn.serve([self._listener]))

    async def _file(self, request: HttpRequest) -> Response:
        asset = self.page.get(request.path_params.get("name", INDEX))
        if asset is None:
            raise HTTPException(404)
        return Response(asset.content, media_type=asset.media_type)

    def _recording(self, request: HttpRequest) -> Response:
        """Return a recording. It runs in a thread, because the disk may be slow."""
        response = self.downloads.response(request.path_params["number"])
        if response is None:
            raise HTTPException(404)
        return response

    async def _measurement(self, request: HttpRequest) -> Response:
        """Return the measurement; in a thread too, because a report takes seconds."""
        kind = request.url.path.rpartition(".")[2]
        with suppress(asyncio.CancelledError):  # the run ends; the viewer is disconnected
            return await run_in_threadpool(self._measurement_files.response, kind)
        return Response(status_code=503)

    async def _health(self, request: HttpRequest) -> Response:
        statistics = self._statistics()
        healthy = statistics["idle"] < _HANG_SECONDS
        content = {
            "status": "ok" if healthy else "hangs",
            "state": statistics.get("state"),
            "full": self.full,
        }
        return JSONResponse(content, 200 if healthy else 503)

    async def _metrics(self, request: HttpRequest) -> Response:
        return Response(self.metrics.text(), media_type=CONTENT_TYPE)

    async def _watch(self, websocket: WebSocket) -> None:
        if self.full:
            reason = f"the limit of {self._max_viewers} viewers is reached"
            refusal = JSONResponse({"error": reason}, 503)
            await refusal(websocket.scope, websocket.receive, websocket.send)
            return
        await WebSocketViewer(websocket, self.hub).serve()


def _is_worth_printing(record: logging.LogRecord) -> bool:
    """False for asyncio's warning about a viewer that has hung up: there is one for each of them.

    Without a handler, Python prints warnings on standard error.
    """
    return record.msg != "socket.send() raised exception."


def _uvicorn_config(app: AccessControl, max_viewers: int) -> uvicorn.Config:
    logging.getLogger("asyncio").addFilter(_is_worth_printing)
    return uvicorn.Config(
        app,
        http=_HttpConnection,
        ws=_WebSocketConnection,
        ws_max_size=_MAX_MESSAGE,
        h11_max_incomplete_event_size=MAX_HEADER,
        ws_per_message_deflate=False,  # JPEG is compressed already
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        limit_concurrency=max_viewers + 2 * _MAX_IDLE,
        timeout_graceful_shutdown=1,
    )


async def _error(request: HttpRequest, error: Exception) -> Response:
    """Return an error as JSON."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    reasons = {404: "not found", 405: "method not allowed"}
    return JSONResponse({"error": reasons.get(status, "internal server error")}, status)


class _HttpConnection(H11Protocol):
    """HTTP connection with a request timeout.

    When too many idle connections are open, a random one is dropped, as a defence against slowloris
    attacks.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, ABORT: transport.abort}  # the state of each scope
        self.loop.call_later(_REQUEST_TIMEOUT, self._abort_if_idle)
        idle = [each for each in self.connections if _is_idle(each)]
        if len(idle) > _MAX_IDLE:
            random.choice(idle).transport.abort()  # noqa: S311

    def _abort_if_idle(self) -> None:
        if self in self.connections and _is_idle(self):
            self.transport.abort()


def _is_idle(connection: asyncio.Protocol) -> bool:
    """True for an HTTP connection that has not sent a complete request header yet."""
    return isinstance(connection, H11Protocol) and connection.cycle is None


class _WebSocketConnection(WebSocketsSansIOProtocol):
    """WebSocket connection with a limit of messages per second.

    A viewer that exceeds the limit is disconnected with status 1008, because each message takes
    time from the pictures of all viewers. The application can abort the connection without waiting
    for the send buffer.
    """

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._allowed, self._counted = float(_MESSAGE_BURST), self.loop.time()
        self._flooded = False

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), _PIECE):
            if self._flooded:
                return
            super().data_received(data[start : start + _PIECE])

    def handle_events(self) -> None:
        now = self.loop.time()
        self._allowed += _MESSAGE_RATE * (now - self._counted) - len(self.conn.events)
        self._allowed, self._counted = min(self._allowed, _MESSAGE_BURST), now
        super().handle_events()
        if self._allowed < 0 and not self.close_sent:
            self._disconnect()

    def _disconnect(self) -> None:
        """Send the reason, read nothing more, and abort the connection after a second."""
        self._flooded = self.close_sent = True
        self.read_paused = False  # or else the application would resume reading
        self.transport.pause_reading()
        self.conn.fail(1008, f"more than {_MESSAGE_RATE:.0f} messages per second")
        self.queue.put_nowait({"type": "websocket.disconnect", "code": 1008})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_timer = self.loop.call_later(_LAST_WORDS, self.transport.abort)

    def handle_connect(self, event: Handshake) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:
            extensions = cast(dict[str, object], self.scope["extensions"])
            extensions[ABORT] = self.transport.abort

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            # Without this, uvicorn logs an error for every refused handshake.
            self.handshake_complete = True


def _listen(host: str, port: int | None) -> socket.socket:
    """Return a socket that listens on the port or, if that is None, on the first free port."""
    try:
        family, *_, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:  # the latter where a part of a name is too long
        raise OptionError(
            f"cannot listen on {host!r}: no such host; give --host an address of this machine"
        ) from error
    ports = range(PORT, PORT + _PORTS_TRIED) if port is None else (port,)
    for number in ports:
        listener = socket.socket(family, socket.SOCK_STREAM)
        if os.name == "posix":  # on Windows this option would share the port with other programs
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address[0], number))
            listener.listen(128)
        except OSError as error:
            listener.close()
            failure = error
        else:
            listener.setblocking(False)
            return listener
    tried = f"port {port}" if port is not None else f"ports {ports[0]} to {ports[-1]}"
    reason = (failure.strerror or "refused by the system").lower()
    raise SinkUnavailable(
        f"cannot listen on {host}, {tried}: {reason}; choose another --port"
    ) from failure


def _url(address: str, port: int) -> str:
    """Return the URL of a server that listens on `address`, as other machines reach it."""
    if ipaddress.ip_address(address).is_unspecified:
        address = _own_address()
    return f"http://[{address}]:{port}/" if ":" in address else f"http://{address}:{port}/"


def _own_address() -> str:
    """Return this machine's IPv4 address in its network.

    Connecting a UDP socket sends nothing; it makes the system choose a source address.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])
