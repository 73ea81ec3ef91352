"""An HTTP client for cameras: repeated requests of one address over a kept connection.

urllib knows redirects, passwords and proxies, but opens a connection for each request. Its handlers
are used here with connections that stay open.
"""

import ssl
import time
from email.message import Message
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import (
    AbstractHTTPHandler,
    HTTPBasicAuthHandler,
    HTTPDefaultErrorHandler,
    HTTPDigestAuthHandler,
    HTTPErrorProcessor,
    HTTPPasswordMgrWithDefaultRealm,
    HTTPRedirectHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from rtmag.realtime.sources.network_errors import INSECURE, StreamFailed
from rtmag.realtime.sources.source import Closeable

_MAX_UNREAD = 1 << 16
"""Bytes of an unread answer that are read to keep its connection."""


class HttpClient(Closeable):
    """Requests one address, with the user and the password in it, if any.

    Args:
        address: address with http or https.
        timeout: seconds to wait for a connection and for the next data.
        ca: PEM file of certificates that verify the server; redirects to unencrypted addresses are
            then refused. None: the server is not verified, because most cameras have self-signed
            certificates.
    """

    def __init__(self, address: str, *, timeout: float, ca: Path | None = None) -> None:
        parts = urlsplit(address)
        host = parts.netloc.rpartition("@")[2]
        self._url = urlunsplit(parts._replace(netloc=host))
        self._timeout = timeout
        passwords = HTTPPasswordMgrWithDefaultRealm()
        if parts.username is not None:
            password = unquote(parts.password or "")
            passwords.add_password(
                None, f"{parts.scheme}://{host}/", unquote(parts.username), password
            )
        self._kept = _KeptConnections(_context(ca))
        self._opener = OpenerDirector()
        self._opener.addheaders = [("User-Agent", "rtmag")]
        for handler in (
            ProxyHandler(),
            HTTPDefaultErrorHandler(),
            HTTPErrorProcessor(),
            HTTPBasicAuthHandler(passwords),
            _Digest(passwords),
            _Redirects(self._kept, encrypted=ca is not None),
            self._kept,
        ):
            self._opener.add_handler(handler)

    def get(self) -> HTTPResponse:
        """Request the address and return the answer, whose body is not read yet.

        Raises:
            StreamFailed: the server redirects to an unencrypted address.
            OSError: the connection failed, or the server answered with an error (`HTTPError`).
            HTTPException, ValueError: the answer or the address is invalid.
        """
        response = self._opener.open(self._url, timeout=self._timeout)
        if not isinstance(response, HTTPResponse):
            raise ValueError("the server redirects to another protocol")
        return response

    def close(self) -> None:
        """Close all connections."""
        self._kept.close()


class Body:
    """The body of an answer as a file, for FFmpeg.

    Args:
        client: closed with the file.
        response: the answer.
        head: bytes that were already read from it.
        deadline: monotonic time in seconds from which reading fails; may be changed.
    """

    def __init__(
        self, client: HttpClient, response: HTTPResponse, head: bytes, deadline: float
    ) -> None:
        self._client, self._response, self._head = client, response, head
        self.deadline = deadline

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes, and none only at the end.

        Raises:
            OSError, HTTPException: the connection failed, or the deadline has passed.
        """
        if self._head:
            data, self._head = self._head[:size], self._head[size:]
            return data
        if time.monotonic() > self.deadline:
            raise TimeoutError("the deadline has passed")
        return self._response.read1(size)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _context(ca: Path | None) -> ssl.SSLContext:
    """Return a TLS context that verifies the server by `ca`, or not at all."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca is None:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    else:
        context.load_verify_locations(ca)
    return context


class _KeptConnections(AbstractHTTPHandler):
    """Sends requests over connections that stay open: one for each server."""

    handler_order = 500

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__()
        self._context = context
        self._connections: dict[tuple[str, str, str | None], HTTPConnection] = {}
        self._unread: tuple[HTTPResponse, HTTPConnection] | None = None

    http_request = https_request = AbstractHTTPHandler.do_request_

    def http_open(self, request: Request) -> HTTPResponse:
        """Send an unencrypted request."""
        return self._send(request)

    def https_open(self, request: Request) -> HTTPResponse:
        """Send an encrypted request."""
        return self._send(request)

    def finish(self) -> None:
        """Read the rest of the last answer, or close its connection if the rest is long."""
        if self._unread is None:
            return
        (response, connection), self._unread = self._unread, None
        try:
            if not response.isclosed():
                response.read(_MAX_UNREAD)
        except (OSError, HTTPException):
            connection.close()
        if not response.isclosed():
            connection.close()
            response.close()

    def close(self) -> None:
        """Close all connections."""
        if self._unread is not None:
            self._unread[0].close()  # it owns its connection if that cannot be kept
        for connection in self._connections.values():
            connection.close()

    def _send(self, request: Request) -> HTTPResponse:
        self.finish()
        connection = self._connection(request)
        kept = connection.sock is not None
        try:
            response = self._exchange(connection, request)
        except (ConnectionError, HTTPException):
            connection.close()
            if not kept:
                raise
            response = self._exchange(connection, request)  # closed by the server
        self._unread = response, connection
        return response

    def _connection(self, request: Request) -> HTTPConnection:
        """Return the connection to the server of a request."""
        host, tunnel = request.host or "", getattr(request, "_tunnel_host", None)
        key = request.type, host, tunnel
        if key not in self._connections:
            made = HTTPConnection(host) if request.type == "http" else self._encrypted(host)
            if tunnel is not None:
                made.set_tunnel(tunnel)
            self._connections[key] = made
        self._connections[key].timeout = request.timeout
        return self._connections[key]

    def _encrypted(self, host: str) -> HTTPConnection:
        return HTTPSConnection(host, context=self._context)

    @staticmethod
    def _exchange(connection: HTTPConnection, request: Request) -> HTTPResponse:
        headers = {**request.unredirected_hdrs, **request.headers}
        connection.request("GET", request.selector, headers=headers)
        response = connection.getresponse()
        # The other handlers expect what urllib's own handler sets.
        response.url, response.msg = request.full_url, response.reason  # type: ignore[assignment]
        return response


class _Digest(HTTPDigestAuthHandler):
    """Sends a password once: urllib sends a wrong one six times, and cameras lock users out."""

    def retry_http_digest_auth(self, req: Request, auth: str) -> Any:
        """Send the request again with the password."""
        if req.has_header(self.auth_header):
            raise HTTPError(req.full_url, 401, "the password is wrong", Message(), None)
        return super().retry_http_digest_auth(req, auth)


class _Redirects(HTTPRedirectHandler):
    """Follows redirects, but not from an encrypted address to an unencrypted one."""

    def __init__(self, kept: _KeptConnections, *, encrypted: bool) -> None:
        self._kept, self._encrypted = kept, encrypted

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> Request | None:
        """Return the next request."""
        if self._encrypted and urlsplit(newurl).scheme != "https":
            raise StreamFailed(INSECURE)
        self._kept.finish()  # urllib would read an answer of any length
        return super().redirect_request(req, fp, code, msg, headers, newurl)
