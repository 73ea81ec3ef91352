"""Options given elsewhere than on the command line: rtmag.toml and RTMAG_* variables.

The stronger source wins: command line, environment, rtmag.toml in the current folder, rtmag.toml in
the user's configuration folder. Keys are the options' names, for every command that has them; a
table such as [camera] is for that command alone, and wins over the keys above it. The commands' own
options are the schema (schema.py).
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer import Context
from typer.core import TyperCommand, TyperOption

from rtmag.realtime.cli.options import AUTO
from rtmag.realtime.errors import OptionError
from rtmag.realtime.log import HIDDEN, is_secret, logger, redact

NAME = "rtmag.toml"

PREFIX = "RTMAG_"

_apps: list[Any] = []
"""The application whose commands are configured; cli.app registers itself."""
_BANDED = ("band", "fl", "fh")

_SETTLED_BY: dict[str, tuple[str, ...]] = {
    "preset": ("alpha", "mode", "order", "drift", *_BANDED),
    "band": ("fl", "fh", "mode", "drift"),
    "fl": ("band", "mode", "drift"),
    "fh": ("band", "mode", "drift"),
    "drift": ("preset", "mode", *_BANDED),
}
"""What an option settles: a weaker source's word on these is not heard. For those where it depends
on the value, see `_settled`."""

_STEERED = ("alpha", "mode", "order", "fl", "fh")


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
        found = {} if quiet else read(self)
        ctx.default_map = {name: setting.value for name, setting in found.items()}
        rest = super().parse_args(ctx, args)
        ctx.obj = effective(self, ctx, found)
        for key, setting in ctx.obj.items():
            if setting.rank:
                logger().debug("%s = %s (%s)", key, _safe(key, setting).value, setting.origin)
        return rest


def keys(command: TyperCommand) -> dict[str, TyperOption]:
    """The options that may be set, by key: long names with underscores. Help keeps secret ones."""
    options = [param for param in command.params if isinstance(param, TyperOption)]
    named = {_long(option): option for option in options}
    return {
        key: each
        for key, each in named.items()
        if key != "help" and (not each.hidden or is_secret(key))
    }


def _long(option: TyperOption) -> str:
    return max(option.opts, key=len).lstrip("-").replace("-", "_")


def read(command: TyperCommand) -> dict[str, Setting]:
    """What files and variables say about a command's options, by parameter name.

    Raises:
        OptionError: a file cannot be read, a key is unknown, a value is of the wrong type.
    """
    mine, found = keys(command), {}
    for key, value, origin, rank in _said(command):
        if key in mine:
            found[str(mine[key].name)] = Setting(value, origin, rank)
    return found


def _said(command: TyperCommand) -> Iterator[tuple[str, Any, str, int]]:
    """Key, value, origin and rank of whatever is set, the stronger later."""
    files = _files()
    variables = any(name.upper().startswith(PREFIX) for name in os.environ)
    if not (files or variables):
        return  # and pydantic-settings is not imported
    from rtmag.realtime.cli import settings_schema as schema

    commands = {name: (each, keys(each)) for name, each in _commands().items()}
    for rank, path in enumerate(files, start=1):
        said = schema.in_file(path, command, commands)
        own = said.get(str(command.name)) or {}
        for key, value in [*said.items(), *own.items()]:
            yield key, value, str(path), rank
    for key, value in schema.in_variables(command, keys(command)).items():
        yield key, value, PREFIX + key.upper(), 3


def _files() -> list[Path]:
    """Those that exist, the weaker one first."""
    import platformdirs

    folder = platformdirs.user_config_path("rtmag", appauthor=False)
    return [path for path in (folder / NAME, Path(NAME)) if path.is_file()]


def _commands() -> dict[str, TyperCommand]:
    """Every command that can be configured."""
    from typer.main import get_command

    group: Any = get_command(_apps[-1])
    return {k: each for k, each in group.commands.items() if isinstance(each, Configured)}


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
        for other in _settled(key, setting.value, out) if setting.rank else ():
            if other in out and 0 < out[other].rank < setting.rank:
                value = keys(command)[other].default
                out[other] = Setting(value, "default")
                context.params[other] = value
    return out


def _settled(key: str, value: Any, said: Mapping[str, Setting]) -> tuple[str, ...]:
    if key == "size":
        return ("motion_scale",) if value == AUTO else ()
    if key == "motion_scale":
        follows = "size" in said and said["size"].value == AUTO
        return ("size",) if follows and value != AUTO else ()
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
        value = HIDDEN if is_secret(key) else redact(str(value))
    return Setting(value, setting.origin, setting.rank)


def _implied(settings: Mapping[str, Setting]) -> dict[str, Setting]:
    """What a preset, a band or nothing at all makes of options that nobody gave."""
    from rtmag.realtime.cli.controls import make_controls

    given = {key: setting.value for key, setting in settings.items()}
    controls = make_controls(**{key: given[key] for key in (*_STEERED, "drift", "band", "preset")})
    preset, banded = given["preset"], controls.mode == "temporal"
    origin = f"preset {preset}" if preset else "default"
    values = controls.settings()
    keys = _STEERED if banded else ("alpha", "mode")
    implied = {key: Setting(values[key], origin) for key in keys if given[key] is None}
    if given["band"] is not None:
        source = settings["band"].origin
        implied |= {key: Setting(values[key], source) for key in ("fl", "fh")}
    return implied


def _list(names: object) -> str:
    return ", ".join(sorted(names))  # type: ignore[call-overload]
