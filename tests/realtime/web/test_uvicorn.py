"""Internals of uvicorn that `web/server.py` builds on.

uvicorn documents none of them. A release that moves one fails here, with its name, and not in a
live view.
"""

import asyncio
import importlib
from collections.abc import Iterable
from typing import Any
from unittest.mock import Mock

import pytest

uvicorn = pytest.importorskip("uvicorn")
websockets = pytest.importorskip("websockets")

HTTP = "uvicorn.protocols.http.h11_impl.H11Protocol"
WEBSOCKET = "uvicorn.protocols.websockets.websockets_sansio_impl.WebSocketsSansIOProtocol"
HANDSHAKE = {
    "Host": "localhost",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def uvicorn_class(path: str) -> Any:
    """Import a class by its full name; a failure names the class."""
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        pytest.fail(f"uvicorn {uvicorn.__version__} has no {path}: change realtime/web/server.py")


def require(owner: object, names: Iterable[str]) -> None:
    """Fail with the names of the attributes that are missing."""
    missing = [name for name in names if not hasattr(owner, name)]
    assert not missing, (
        f"{type(owner).__name__} of uvicorn {uvicorn.__version__} has no {', '.join(missing)}: "
        "change realtime/web/server.py"
    )


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answer nothing."""


def connected(path: str) -> Any:
    """A connection of the class on a fake socket, in the running event loop."""
    config = uvicorn.Config(application, log_config=None, lifespan="off")
    connection = uvicorn_class(path)(config, uvicorn.server.ServerState(), {})
    transport = Mock(**{"get_extra_info.return_value": None, "is_closing.return_value": False})
    connection.connection_made(transport)
    assert connection.transport is transport
    return connection


def test_an_http_connection_counts_as_idle_until_its_request_is_complete() -> None:
    async def check() -> None:
        connection = connected(HTTP)
        require(connection, ("loop", "connections", "cycle", "transport"))
        assert connection in connection.connections
        connection.data_received(b"GET / HTTP/1.1\r\nHost: ")
        assert connection.cycle is None
        connection.data_received(b"localhost\r\n\r\n")
        assert connection.cycle is not None
        connection.connection_lost(None)
        assert connection not in connection.connections

    asyncio.run(check())


def test_a_websocket_connection_has_its_scope_and_response_after_the_handshake() -> None:
    async def check() -> None:
        connection = connected(WEBSOCKET)
        require(connection, ("handle_connect", "handshake_complete", "send", "transport"))
        require(connection, ("loop", "handle_events", "queue", "close_sent", "close_timer"))
        require(connection, ("read_paused", "conn"))
        assert connection.conn.events == []
        headers = websockets.datastructures.Headers(HANDSHAKE)
        connection.handle_connect(websockets.http11.Request("/ws", headers))
        require(connection, ("scope", "response"))
        assert connection.response.status_code == 101
        assert isinstance(connection.scope["extensions"], dict)
        assert connection.handshake_complete is False

    asyncio.run(check())


def test_a_server_is_stopped_by_two_flags() -> None:
    server = uvicorn.Server(uvicorn.Config(application, log_config=None))
    require(server, ("should_exit", "force_exit", "serve", "server_state"))
    assert (server.should_exit, server.force_exit) == (False, False)
