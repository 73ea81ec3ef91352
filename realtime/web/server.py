"""The server: a few routes behind the guard, in a thread with an event loop of its own."""

import asyncio
import ipaddress
import os
import random
import secrets
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, cast

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request as Handshake

from rtmag.realtime.errors import OptionError, SinkUnavailable
from rtmag.realtime.web.access import AccessControl, checked_token
from rtmag.realtime.web.hub import ABORT, Hub, WebSocketViewer
from rtmag.realtime.web.messages import Request
from rtmag.realtime.web.metrics import CONTENT_TYPE, Metrics

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

INDEX = "index.html"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of the page."""

    content: bytes
    type: str


def read_page() -> dict[str, Asset]:
    """Every file of the page, by its name."""
    found = {}
    for file in (files("rtmag.realtime.web") / "static").iterdir():
        kind = _TYPES.get(file.name[file.name.rfind(".") :])
        if kind is not None:
            found[file.name] = Asset(file.read_bytes(), kind)
    return found


PORT = 8089

_TRIED = 20  # ports, where none was asked for

_MAX_IDLE = 64  # open connections without a complete request header

_REQUEST_TIMEOUT = 5.0  # seconds until the request header must be complete

_LARGEST_MESSAGE = 1 << 16

_GOODBYE = 1.5  # seconds to end in

_HEALTHY = 10.0  # seconds without a look from the loop after which it hangs


class Server:
    """Serves the page until it is closed.

    Args:
        host: name or address to listen on.
        port: None is 8089 or one of the next that is free.
        max_viewers: how many may watch at once.
        ask: takes what viewers ask for; called on the server's thread.
        token: the secret of the address; None is one by chance.
        figures: the run's figures, for programs; `idle` is the seconds since the loop's last turn.

    Raises:
        OptionError: no such host, or the token can be guessed.
        SinkUnavailable: the port is in use, or may not be used.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int | None,
        max_viewers: int,
        ask: Callable[[Request], None],
        figures: Callable[[], Mapping[str, Any]],
        token: str | None = None,
    ) -> None:
        self._max_viewers, self._figures = max_viewers, figures
        self.token = secrets.token_urlsafe(16) if token is None else checked_token(token)
        self._listener = _listen(host, port)
        self.address, self.port = self._listener.getsockname()[:2]
        self.page = read_page()
        self.metrics = Metrics(lambda: {**figures(), "viewers": len(self.hub.viewers)})
        self.app = Starlette(
            routes=[
                Route("/healthz", self._health),
                Route("/metrics", self._metrics),
                Route("/", self._file),
                Route("/{name}", self._file),
                WebSocketRoute("/ws", self._watch),
            ],
            exception_handlers={HTTPException: _explain, Exception: _explain},
        )
        access = AccessControl(
            self.app,
            address=self.address,
            name=host,
            port=self.port,
            token=self.token,
            lasting=token is not None,
        )
        self.url = _url(self.address, self.port) + ("" if access.local else f"?token={self.token}")
        """What to open; beyond loopback it holds the token."""
        self._uvicorn = uvicorn.Server(
            uvicorn.Config(
                access,
                http=_HttpConnection,
                ws=_WebSocketConnection,
                ws_max_size=_LARGEST_MESSAGE,
                ws_per_message_deflate=False,  # pictures are compressed already
                lifespan="off",
                log_config=None,
                log_level="error",
                access_log=False,
                server_header=False,
                limit_concurrency=max_viewers + 2 * _MAX_IDLE,
                timeout_graceful_shutdown=1,
            )
        )
        loop = asyncio.new_event_loop()
        self.hub = Hub(loop, ask)
        self._runner = asyncio.Runner(loop_factory=lambda: loop)
        self._thread = threading.Thread(target=self._serve, name="rtmag web", daemon=True)
        self._thread.start()

    @property
    def full(self) -> bool:
        """Whether nobody else may watch at present."""
        return len(self.hub.viewers) >= self._max_viewers

    @property
    def running(self) -> bool:
        """Whether pages are still served."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Let everyone go and free the port. Safe to call twice."""
        self._uvicorn.should_exit = self._uvicorn.force_exit = True
        self._thread.join(_GOODBYE)

    def _serve(self) -> None:
        with self._runner as runner, self._listener:
            runner.run(self._uvicorn.serve([self._listener]))

    async def _file(self, request: HttpRequest) -> Response:
        asset = self.page.get(request.path_params.get("name", INDEX))
        if asset is None:
            raise HTTPException(404)
        return Response(asset.content, media_type=asset.type)

    async def _health(self, request: HttpRequest) -> Response:
        figures = self._figures()
        turns = figures["idle"] < _HEALTHY
        words = {"status": "ok" if turns else "hangs", "state": figures.get("state")}
        return JSONResponse({**words, "full": self.full}, 200 if turns else 503)

    async def _metrics(self, request: HttpRequest) -> Response:
        return Response(self.metrics.text(), media_type=CONTENT_TYPE)

    async def _watch(self, websocket: WebSocket) -> None:
        if self.full:
            full = JSONResponse({"error": f"{self._max_viewers} viewers are watching already"}, 503)
            await full(websocket.scope, websocket.receive, websocket.send)
            return
        await WebSocketViewer(websocket, self.hub).serve()


async def _explain(request: HttpRequest, error: Exception) -> Response:
    """An error in our own words, as JSON."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    words = {404: "there is nothing here", 405: "this can only be read"}
    return JSONResponse({"error": words.get(status, "the server failed")}, status)


class _HttpConnection(H11Protocol):
    """HTTP connection with a request timeout.

    When too many idle connections are open, a random one is dropped (slowloris).
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
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
    """WebSocket connection that the application can abort without waiting for the send buffer."""

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
    """A socket on the port, or on the first free one where none was asked for."""
    try:
        family, *_, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise OptionError(f"cannot listen on {host!r}: no such host") from error
    ports = range(PORT, PORT + _TRIED) if port is None else (port,)
    for number in ports:
        listener = socket.socket(family, socket.SOCK_STREAM)
        if os.name == "posix":  # elsewhere it would share the port with another program
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
    reason = (failure.strerror or "the system refused it").lower()
    raise SinkUnavailable(
        f"cannot listen on {host}, {tried}: {reason}; give another --port"
    ) from failure


def _url(address: str, port: int) -> str:
    """Where others find the server that listens on an address."""
    if ipaddress.ip_address(address).is_unspecified:
        address = _own_address()
    return f"http://[{address}]:{port}/" if ":" in address else f"http://{address}:{port}/"


def _own_address() -> str:
    """This machine's address in its network; asks the routing table, sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])
