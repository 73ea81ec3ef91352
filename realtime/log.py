"""Package logger, and removal of passwords and tokens from text that is shown, logged or written.

A password in a URL may contain any character, even '@', '/' and '?', so its end is ambiguous. A URL
that cannot be parsed with certainty is therefore removed completely, except for its scheme.

A pattern cannot find the end of a URL that contains spaces, so `protect` keeps the addresses of
this process. `redact` replaces them, and their passwords, wherever they occur.
"""

import logging
import re
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, unquote

HIDDEN = "..."
"""Replacement for removed text."""

_ADDRESS = re.compile(r"[A-Za-z][\w+.-]*://\S+")
"""URL with a scheme, up to the next space."""

_SIMPLE = re.compile(
    r"(?P<user>[^@/?#]*@)?(?P<host>[^@/?#\s]+)(?P<path>/[^?#]*)?(?P<rest>[?#].*)?", re.DOTALL
)
"""URL without its scheme, split at the first separators."""

_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[\w.-]+)(:\d+)?")

_PLAIN_PATH = re.compile(r"(/[\w.-]{0,20}){0,6}")
"""Paths that are kept. Others are removed, because some cameras take the password in the path."""

_SCHEMELESS = re.compile(r"[^\s'\"(]+:\S*@\S+")
"""user:password@host without a scheme."""

_QUERY = re.compile(
    r"(?i)\b(token|key|api_?key|auth|pass|passw(?:or)?d|pwd|secret|sig|signature|user)=[^&\s'\"]+"
)

_HEADER = re.compile(r"(?i)\b(authorization|proxy-authorization|cookie):\s*[^\r\n'\"]+")

_TAIL = "'\"),;:]>"
"""Characters after a URL that belong to the sentence around it."""

_SECRETS = ("token", "password", "secret")

_MIN_PASSWORD, _MIN_VALUE = 4, 8
"""Lengths from which a password and a value of a query are removed outside of their address too.

Shorter ones are likely to be parts of other words.
"""

_MAX_PROTECTED = 100
"""Number of protected addresses; the oldest are forgotten."""

_protected: dict[str, re.Pattern[str]] = {}
"""Protected addresses, each with a pattern of the texts to remove."""


def is_secret(name: str) -> bool:
    """True if the value of an option of this name must not be shown."""
    return any(word in name for word in _SECRETS)


def redact(text: str) -> str:
    """Remove user names, passwords, tokens and the queries of URLs from text.

    >>> redact("cannot open 'rtsp://admin:pa@ss/w?#@10.0.0.1/live'")
    "cannot open 'rtsp://...'"
    >>> redact("rtsp://admin:secret@10.0.0.1:554/live refused")
    'rtsp://10.0.0.1:554/live refused'
    """
    for address, pattern in tuple(_protected.items()):
        text = pattern.sub(partial(_replacement, address), text)
    text = _ADDRESS.sub(_redact_address, text)
    text = _SCHEMELESS.sub(HIDDEN, text)
    text = _HEADER.sub(rf"\1: {HIDDEN}", text)
    return _QUERY.sub(rf"\1={HIDDEN}", text)


def protect(name: str) -> str:
    """Redact the name of a source; if it is an address, also keep it for all later redactions.

    Args:
        name: the whole name as the user gave it. An address may contain spaces.

    Returns:
        The name as it may be shown.
    """
    if "://" not in name:
        return redact(name)
    shown = _shown(name)
    if shown != name:
        _protected.pop(name, None)
        _protected[name] = _pattern(name)
        while len(_protected) > _MAX_PROTECTED:
            _protected.pop(next(iter(_protected)), None)
    return shown


def _pattern(address: str) -> re.Pattern[str]:
    """Return a pattern of all texts that must not be shown, the longest first."""
    user_info, at, _ = address.partition("://")[2].rpartition("@")
    password = user_info.partition(":")[2] if at else ""
    query = address.partition("?")[2].partition("#")[0]
    values = [value for _, value in parse_qsl(query)]
    parts = [part for part in (password, unquote(password)) if len(part) >= _MIN_PASSWORD]
    parts += [part for part in (*values, *query.split("&")) if len(part) >= _MIN_VALUE]
    # A path has one slash less, and a quoted text has escapes.
    forms = {form for text in (address, *parts) for form in (text, repr(text)[1:-1])}
    forms.add(address.replace("//", "/"))
    ordered = sorted(forms, key=len, reverse=True)
    # Parts are whole words: the password "late" is no part of "later".
    return re.compile("|".join(rf"(?<!\w){re.escape(form)}(?!\w)" for form in ordered))


def _replacement(address: str, found: re.Match[str]) -> str:
    """Return the text that replaces a protected address or one of its parts."""
    return _shown(address) if found[0] == address else HIDDEN


def _redact_address(match: re.Match[str]) -> str:
    """Redact a URL within a sentence."""
    whole = match[0]
    address = whole.rstrip(_TAIL + ".")
    shown = _shown(address)
    if shown.endswith(f"://{HIDDEN}"):
        return shown + _closing(whole)
    tail = whole[len(address) :]
    # Without the dots of an earlier redaction.
    return shown + (tail.lstrip(".") if shown.endswith(f"?{HIDDEN}") else tail)


def _shown(address: str) -> str:
    """Return scheme, host and path of a URL, as far as they can be parsed with certainty."""
    scheme, _, rest = address.partition("://")
    parts = _SIMPLE.fullmatch(rest)
    # An '@' after the host may belong to a password: the URL is ambiguous.
    if parts is None or "@" in (parts["path"] or "") + (parts["rest"] or ""):
        return f"{scheme}://{HIDDEN}"
    if not _HOST.fullmatch(parts["host"]):
        return f"{scheme}://{HIDDEN}"
    path = parts["path"] or ""
    path = path if _PLAIN_PATH.fullmatch(path) else f"/{HIDDEN}"
    return f"{scheme}://{parts['host']}{path}" + (f"?{HIDDEN}" if parts["rest"] else "")


def _closing(whole: str) -> str:
    """The closing quotation mark after a URL. More of the tail may belong to a password."""
    return whole[-1] if whole[-1] in "'\"" else ""


def visible(text: str, *, lines: bool = False) -> str:
    r"""Replace characters that a terminal would obey, or would not show, by their escapes.

    Names of files, texts of servers and the metadata of models may contain such characters.

    Args:
        text: any text.
        lines: keep line breaks and tabs.

    >>> print(visible("a\x1b[2J.mp4"))
    a\x1b[2J.mp4
    """
    if text.isprintable():
        return text
    kept = "\n\t" if lines else ""
    return "".join(
        each if each.isprintable() or each in kept else each.encode("unicode_escape").decode()
        for each in text
    )


def redact_data(data: Any) -> Any:
    """A copy of a JSON document with every string redacted."""
    if isinstance(data, dict):
        return {key: redact_data(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [redact_data(value) for value in data]
    return redact(data) if isinstance(data, str) else data


class RedactingFilter(logging.Filter):
    """Logging filter that redacts messages, their arguments and tracebacks, see also `visible`."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact a record; always True, so that no record is dropped."""
        with suppress(TypeError, ValueError):  # wrong arguments: logging reports them itself
            record.msg, record.args = visible(redact(record.getMessage()), lines=True), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = visible(redact(record.exc_text), lines=True)
        return True


def logger() -> logging.Logger:
    """The package logger, `rtmag`, with redaction of credentials."""
    package = logging.getLogger("rtmag")
    if not any(isinstance(each, RedactingFilter) for each in package.filters):
        package.addFilter(RedactingFilter())
        package.addHandler(logging.NullHandler())
    return package
