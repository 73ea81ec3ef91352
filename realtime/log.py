"""Keeps passwords and tokens out of everything that is shown, logged or written.

A password may contain any character, '@', '/' and '?' among them, so where it ends cannot be told
from an address alone. What cannot be parsed for certain is left out whole.
"""

import logging
import re
from contextlib import suppress
from typing import Any

HIDDEN = "..."

_ADDRESS = re.compile(r"[A-Za-z][\w+.-]*://\S+")

_SIMPLE = re.compile(r"(?P<user>[^@/?#]*@)?(?P<host>[^@/?#\s]+)(?P<path>/[^?#]*)?(?P<rest>[?#].*)?")

_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[\w.-]+)(:\d+)?")

_PLAIN_PATH = re.compile(r"(/[\w.-]{0,20}){0,6}")
"""Some cameras want the password in the path: what looks like more than words is left out."""

_SCHEMELESS = re.compile(r"[^\s'\"(]+:\S*@\S+")

_QUERY = re.compile(
    r"(?i)\b(token|key|api_?key|auth|pass|passw(?:or)?d|pwd|secret|sig|signature|user)=[^&\s'\"]+"
)

_HEADER = re.compile(r"(?i)\b(authorization|proxy-authorization|cookie):\s*[^\r\n'\"]+")

_TAIL = "'\"),;:]>"

_SECRETS = ("token", "password", "secret")


def is_secret(name: str) -> bool:
    """Whether what goes by this name is never shown."""
    return any(word in name for word in _SECRETS)


def redact(text: str) -> str:
    """The same text without user names, passwords, tokens and queries.

    >>> redact("cannot open 'rtsp://admin:pa@ss/w?#@10.0.0.1/live'")
    "cannot open 'rtsp://...'"
    >>> redact("rtsp://admin:secret@10.0.0.1:554/live refused")
    'rtsp://10.0.0.1:554/live refused'
    """
    text = _ADDRESS.sub(_shown, text)
    text = _SCHEMELESS.sub(HIDDEN, text)
    text = _HEADER.sub(rf"\1: {HIDDEN}", text)
    return _QUERY.sub(rf"\1={HIDDEN}", text)


def _shown(found: re.Match[str]) -> str:
    whole = found[0]
    address = whole.rstrip(_TAIL + ".")
    scheme, _, rest = address.partition("://")
    parts = _SIMPLE.fullmatch(rest)
    # Every '@' that is not the one before the host might be part of a password.
    if parts is None or "@" in (parts["path"] or "") + (parts["rest"] or ""):
        return f"{scheme}://{HIDDEN}" + _closing(whole)
    if not _HOST.fullmatch(parts["host"]):
        return f"{scheme}://{HIDDEN}" + _closing(whole)
    path = parts["path"] or ""
    path = path if _PLAIN_PATH.fullmatch(path) else f"/{HIDDEN}"
    tail = whole[len(address) :]
    if parts["rest"]:
        tail = f"?{HIDDEN}{tail.lstrip('.')}"  # which may have been redacted before
    return f"{scheme}://{parts['host']}{path}{tail}"


def _closing(whole: str) -> str:
    """A quotation mark that was opened before the address; more might belong to a password."""
    return whole[-1] if whole[-1] in "'\"" else ""


def redact_data(data: Any) -> Any:
    """The same JSON document with every string redacted."""
    if isinstance(data, dict):
        return {key: redact_data(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [redact_data(value) for value in data]
    return redact(data) if isinstance(data, str) else data


class RedactingFilter(logging.Filter):
    """Redacts records on their way to the handlers, arguments and tracebacks included."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, without its secrets."""
        with suppress(TypeError, ValueError):  # arguments that do not fit: logging says so itself
            record.msg, record.args = redact(record.getMessage()), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        return True


def logger() -> logging.Logger:
    """The logger of the package, `rtmag`, which never lets a credential through."""
    found = logging.getLogger("rtmag")
    if not any(isinstance(each, RedactingFilter) for each in found.filters):
        found.addFilter(RedactingFilter())
        found.addHandler(logging.NullHandler())
    return found
