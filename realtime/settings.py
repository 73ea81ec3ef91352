"""Options given elsewhere than on the command line: rtmag.toml and RTMAG_* variables.

The stronger source wins: command line, environment, rtmag.toml in the current folder, rtmag.toml in
the user's configuration folder. Keys are the options' names, for every command that has them; a
table such as [camera] is for that command alone, and wins over the keys above it. The commands' own
options are the schema, and their types check the values: nothing is declared twice.
"""

import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer import BadParameter, Context
from typer.core import TyperCommand, TyperOption

from rtmag.realtime.bands import parse_band
from rtmag.realtime.errors import OptionError

NAME = "rtmag.toml"
PREFIX = "RTMAG_"

_BANDED = ("band", "fl", "fh")
_SETTLED_BY: dict[str, tuple[str, ...]] = {
    "preset": ("alpha", "mode", "order", "drift", *_BANDED),
    "band": ("fl", "fh", "mode", "drift"),
    "fl": ("band", "mode", "drift"),
    "fh": ("band", "mode", "drift"),
    "drift": ("preset", "mode", *_BANDED),
}
"""What an option settles: a weaker source's word on these is not heard. For mode see `_settled`."""
_STEERED = ("alpha", "mode", "order", "fl", "fh")
_SECRET = ("token", "password", "secret")


@dataclass(frozen=True, slots=True)
class Setting:
    """The value of an option and where it comes from."""

    value: Any
    origin: str
    """default, command line, the name of a variable or the path of a file."""
    rank: int = 0
    """A higher one wins."""


class Configured(TyperCommand):
    """A command whose options may be set elsewhere too."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """As usual, with what files and variables say for defaults."""
        quiet = ctx.resilient_parsing or "--help" in args
        found = {} if quiet else read(self, ctx)
        ctx.default_map = {name: setting.value for name, setting in found.items()}
        rest = super().parse_args(ctx, args)
        ctx.obj = effective(self, ctx, found)
        return rest


def keys(command: TyperCommand) -> dict[str, TyperOption]:
    """The options that may be set, by key: their long names with underscores."""
    options = [param for param in command.params if isinstance(param, TyperOption)]
    named = {_long(option): option for option in options}
    return {key: option for key, option in named.items() if key != "help"}


def _long(option: TyperOption) -> str:
    return max(option.opts, key=len).lstrip("-").replace("-", "_")


def read(command: TyperCommand, context: Context) -> dict[str, Setting]:
    """What files and variables say about a command's options, by parameter name.

    Raises:
        OptionError: a file cannot be read, a key is unknown, a value is of the wrong type.
    """
    mine, found = keys(command), {}
    for key, value, origin, rank in _said(command):
        option = mine[key]
        checked = _checked(context, key, option, value, origin)
        found[str(option.name)] = Setting(checked, origin, rank)
    return found


def _said(command: TyperCommand) -> Iterator[tuple[str, Any, str, int]]:
    """Key, value, origin and rank of whatever is set, the stronger later."""
    for rank, path in enumerate(_files(), start=1):
        for key, value in _said_in(path, command):
            yield key, value, str(path), rank
    for key in keys(command):
        variable = PREFIX + key.upper()
        if variable in os.environ:
            yield key, os.environ[variable], variable, 3


def _files() -> Iterator[Path]:
    """Those that exist, the weaker one first."""
    import platformdirs

    folder = platformdirs.user_config_path("rtmag", appauthor=False)
    for path in (folder / NAME, Path(NAME)):
        if os.path.lexists(path):
            yield path


def _said_in(path: Path, command: TyperCommand) -> Iterator[tuple[str, Any]]:
    """Key and value of what a file says about a command; its own table last."""
    document, known = _parsed(path), _commands()
    anywhere = {key for each in known.values() for key in keys(each)}
    for name, value in document.items():
        table = value if isinstance(value, dict) else {name: value}
        allowed = set(keys(known[name])) if name in known else anywhere
        if isinstance(value, dict) and name not in known:
            raise OptionError(f"{path}: no such table [{name}]; allowed: {_list(known)}")
        for key in table:
            if _plain(key) not in allowed:
                where = f" in [{name}]" if name in known else ""
                raise OptionError(f"{path}: unknown key {key!r}{where}; allowed: {_list(allowed)}")
    own = document.get(str(command.name), {})
    top = {key: value for key, value in document.items() if not isinstance(value, dict)}
    mine = keys(command)
    for key, value in [*top.items(), *own.items()]:
        if _plain(key) in mine:
            yield _plain(key), value


def _commands() -> dict[str, TyperCommand]:
    """Every command that can be configured."""
    from typer.main import get_command

    from rtmag.realtime.commands import app

    group: Any = get_command(app)
    return {k: each for k, each in group.commands.items() if isinstance(each, Configured)}


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(f"cannot read {str(path)!r}: {error.strerror}") from error
    except ValueError as error:  # no TOML, or no text
        raise OptionError(f"cannot read {str(path)!r}: {error}") from error


def _checked(context: Context, key: str, option: TyperOption, value: Any, origin: str) -> Any:
    """The value as the option takes it; refused where the option would refuse it."""
    flag = option.is_flag
    fits = isinstance(value, str) or isinstance(value, bool) == flag
    if not fits or not isinstance(value, str | int | float | bool):
        allowed = "true or false" if flag else "a number or text, in quotation marks"
        raise OptionError(f"{origin}: {key} = {value!r}; allowed: {allowed}")
    text = value if isinstance(value, bool) else str(value)
    try:
        option.process_value(context, text)
        if key in _PARSERS:
            _PARSERS[key](str(text))
    except BadParameter as error:
        raise OptionError(f"{origin}: {key}: {error.message.rstrip('.')}") from error
    except OptionError as error:
        raise OptionError(f"{origin}: {key}: {error}") from error
    return text


def _size(text: str) -> object:
    from rtmag.realtime.options import parse_size

    return parse_size(text)


_PARSERS: dict[str, Callable[[str], object]] = {"band": parse_band, "size": _size}
"""Options that are text to the command line."""


def effective(
    command: TyperCommand, context: Context, found: Mapping[str, Setting]
) -> dict[str, Setting]:
    """Every option's value and origin, by key; a weaker word that a stronger one settles goes."""
    out = {}
    for key, option in keys(command).items():
        name = str(option.name)
        source = context.get_parameter_source(name)
        value = context.params.get(name)
        if source is not None and source.name == "COMMANDLINE":
            out[key] = Setting(value, "command line", 4)
        elif name in found:
            out[key] = Setting(value, found[name].origin, found[name].rank)
        else:
            out[key] = Setting(value, "default")
    for key, setting in list(out.items()):
        for other in _settled(key, setting.value) if setting.rank else ():
            if other in out and 0 < out[other].rank < setting.rank:
                out[other] = Setting(None, "default")
                context.params[other] = None
    return out


def _settled(key: str, value: Any) -> tuple[str, ...]:
    if key == "mode":
        return {"temporal": ("drift",), "static": _BANDED}.get(value, ("drift", *_BANDED))
    return _SETTLED_BY.get(key, ())


def show(names: list[str], args: list[str]) -> dict[str, dict[str, Setting]]:
    """The effective settings of commands, as if run with these options.

    Raises:
        OptionError: no such command, or as `read`.
    """
    known = _commands()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise OptionError(f"no settings for {unknown[0]!r}; allowed: {_list(known)}")
    return {name: _seen(known[name], args) for name in names or known}


def _seen(command: TyperCommand, args: list[str]) -> dict[str, Setting]:
    command.params = [each for each in command.params if isinstance(each, TyperOption)]
    settings: dict[str, Setting] = command.make_context(command.name, list(args)).obj
    shown = {key: _safe(key, setting) for key, setting in settings.items()}
    return {**shown, **_implied(settings)}


def _safe(key: str, setting: Setting) -> Setting:
    """Without credentials; None, numbers and switches as they are, the rest as text."""
    value = setting.value
    if value is not None and not isinstance(value, bool | int | float):
        hidden = any(word in key for word in _SECRET) or "@" in str(value)
        value = "..." if hidden else str(value)
    return Setting(value, setting.origin, setting.rank)


def _implied(settings: Mapping[str, Setting]) -> dict[str, Setting]:
    """What a preset, a band or nothing at all makes of options that nobody gave."""
    from rtmag.realtime.options import make_controls

    given = {key: setting.value for key, setting in settings.items()}
    controls = make_controls(**{key: given[key] for key in (*_STEERED, "drift", "band", "preset")})
    preset, banded = given["preset"], controls.mode == "temporal"
    origin = f"preset {preset}" if preset else "default"
    keys = _STEERED if banded else ("alpha", "mode", "order")
    implied = {key: Setting(getattr(controls, key), origin) for key in keys if given[key] is None}
    if given["band"] is not None:
        source = settings["band"].origin
        implied |= {key: Setting(getattr(controls, key), source) for key in ("fl", "fh")}
    return implied


def _plain(key: str) -> str:
    return key.replace("-", "_")


def _list(names: object) -> str:
    return ", ".join(sorted(names))  # type: ignore[call-overload]
