"""Options from rtmag.toml files and RTMAG_* variables.

Priority, from high to low: command line, environment, rtmag.toml in the current folder, rtmag.toml
in the user's configuration folder. A key is the long name of an option and applies to each command
that has this option. A table such as [camera] applies to one command and has priority over the keys
above it.

Values reach Typer as its `default_map`, after Typer has validated them: types, choices and ranges
are those of the options.

The current folder may be someone else's: an unpacked archive, a shared disk. Its file may set only
options that are marked as harmless where they are declared (options.HARMLESS), and the keys that it
sets are printed.
"""

import os
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path
from typing import Any

from typer import BadParameter, Context
from typer.core import TyperCommand, TyperOption

from rtmag.realtime.cli.console import notice
from rtmag.realtime.cli.options import harmless_options, make_controls
from rtmag.realtime.engines.spec import AUTO
from rtmag.realtime.errors import OptionError
from rtmag.realtime.log import HIDDEN, is_secret, logger, protect
from rtmag.realtime.regular_file import read_regular

NAME = "rtmag.toml"

PREFIX = "RTMAG_"

_MAX_BYTES = 1 << 20
"""Largest size of a file."""

_MAX_SHOWN = 60
"""Characters of a value in an error message."""

_BAND = ("band", "fl", "fh")

_OVERRIDES: dict[str, tuple[str, ...]] = {
    "preset": ("alpha", "mode", "order", "drift", *_BAND),
    "band": ("fl", "fh", "mode", "drift"),
    "fl": ("band", "mode", "drift"),
    "fh": ("band", "mode", "drift"),
    "drift": ("preset", "mode", *_BAND),
}
"""For each option, the options that it overrides: they are ignored if a source of lower priority
sets them. `_overridden` adds the options for which that depends on the value."""

_LIVE = ("camera", "stream")
"""Commands whose source is live."""

_IMPLIED = ("alpha", "mode", "order", "fl", "fh")
"""Options whose values a preset or a band can determine."""

_PLAIN = {
    "Input should be a valid number, unable to parse string as a number": (
        "expected a number such as 20 or 0.5"
    ),
    "Input should be a valid integer, unable to parse string as an integer": (
        "expected an integer such as 20"
    ),
    "Input should be": "must be",
    " is not one of '-'": (
        " is not allowed: --out takes only - (standard output); for a video file use --record"
    ),
}
"""Messages of Pydantic, and plainer ones."""

_EXPECTED = {bool: "true or false", int: "an integer", float: "a number"}


class Rank(IntEnum):
    """Priority of the origin of a value."""

    DEFAULT = 0
    OWN_FILE = 1
    FOLDER_FILE = 2
    ENVIRONMENT = 3
    COMMAND_LINE = 4


@dataclass(frozen=True, slots=True)
class Setting:
    """The value of an option and its origin."""

    value: Any
    origin: str
    """default, command line, the name of a variable or the path of a file."""
    rank: Rank = Rank.DEFAULT


class ConfigurableCommand(TyperCommand):
    """A command whose options can also be set in files and variables."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Parse the arguments, with the values from files and variables as defaults.

        Raises:
            OptionError: see `read`.
        """
        ignored = ctx.resilient_parsing or "--help" in args
        found = {} if ignored else read(self, ctx)
        ctx.default_map = {name: setting.value for name, setting in found.items()}
        try:
            rest = super().parse_args(ctx, args)
        except BadParameter as error:
            error.message = _reason(error)
            raise
        ctx.obj = effective(self, ctx, found)
        for key, setting in ctx.obj.items():
            if setting.rank:
                logger().debug("%s = %s (%s)", key, _safe(key, setting).value, setting.origin)
        return rest

    def invoke(self, ctx: Context) -> Any:  # type: ignore[override]
        """Run the command; first print which options the file in the current folder sets."""
        used = [key for key, setting in ctx.obj.items() if setting.rank == Rank.FOLDER_FILE]
        if used:
            notice(f"settings from ./{NAME}: {_list(used)}")
        return super().invoke(ctx)


def keys(command: TyperCommand) -> dict[str, TyperOption]:
    """The options that can be set, by key: their long names, with underscores.

    Hidden options are left out, except secret ones.
    """
    options = [param for param in command.params if isinstance(param, TyperOption)]
    named = {_long(option): option for option in options}
    return {
        key: each
        for key, each in named.items()
        if key != "help" and (not each.hidden or is_secret(key))
    }


def _long(option: TyperOption) -> str:
    return max(option.opts, key=len).lstrip("-").replace("-", "_")


def read(command: TyperCommand, context: Context) -> dict[str, Setting]:
    """The settings of a command from files and variables, by parameter name.

    Raises:
        OptionError: a file cannot be read, a key is unknown, or a value is invalid.
    """
    options = keys(command)
    found = {}
    for rank, path in _files().items():
        for key, value in _from_file(path, rank, command, context):
            found[str(options[key].name)] = Setting(value, str(path), rank)
    for key, option in options.items():
        text = os.environ.get(PREFIX + key.upper())
        if text:
            origin = PREFIX + key.upper()
            given = text.split() if option.multiple else text
            value = _validated(given, key, option, context, origin)
            found[str(option.name)] = Setting(value, origin, Rank.ENVIRONMENT)
    return found


def _own_file() -> Path:
    """The file in the user's configuration folder."""
    import platformdirs

    return platformdirs.user_config_path("rtmag", appauthor=False) / NAME


def _files() -> dict[Rank, Path]:
    """The files that exist, in the order of rising priority.

    Raises:
        OptionError: a folder may not be entered.
    """
    own, here = _own_file(), Path(NAME)
    files = {Rank.OWN_FILE: own} if _exists(own) else {}
    if _exists(here) and not (files and here.samefile(own)):
        files[Rank.FOLDER_FILE] = here
    return files


def _exists(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:
        raise OptionError(
            f"cannot look for {str(path)!r}: {error.strerror}; the folder must be one that you may "
            "enter: check HOME"
        ) from error


def _from_file(
    path: Path, rank: Rank, command: TyperCommand, context: Context
) -> Iterator[tuple[str, Any]]:
    """Yield the keys and values of a file that apply to the command; validate all of the file."""
    commands = _commands(context)
    options = {name: keys(each) for name, each in commands.items()}
    anywhere = {key for each in options.values() for key in each}
    refused = _refused(commands.values()) if rank == Rank.FOLDER_FILE else set()
    own = options[str(command.name)]
    content = {key.replace("-", "_"): value for key, value in _parsed(path).items()}
    tables = {name: content.pop(name) for name in commands if name in content}
    for key, value in content.items():
        if isinstance(value, dict):
            raise OptionError(f"{path}: no such table [{key}]; allowed: {_list(commands)}")
        _check_key(key, anywhere, refused, str(path))
        if key in own:
            yield key, _strict(value, key, own[key], context, str(path))
    for name, table in tables.items():
        origin = f"{path}, table [{name}]"
        if not isinstance(table, dict):
            raise OptionError(f"{path}: {name} = {_shown(name, table)}: expected a table")
        for key, value in ((key.replace("-", "_"), value) for key, value in table.items()):
            _check_key(key, options[name], refused, origin)
            checked = _strict(value, key, options[name][key], context, origin)
            if name == command.name:
                yield key, checked


def _refused(commands: Iterable[TyperCommand]) -> set[str]:
    """Keys of options that the file in the current folder must not set."""
    refused = set()
    for command in commands:
        assert command.callback is not None
        harmless = harmless_options(command.callback)
        refused |= {key for key, each in keys(command).items() if each.name not in harmless}
    return refused


def _parsed(path: Path) -> dict[str, Any]:
    """The content of a file; raises OptionError if it cannot be read."""
    try:
        return tomllib.loads(read_regular(path, _MAX_BYTES).decode("utf-8"))
    except OSError as error:
        raise OptionError(f"cannot read {str(path)!r}: {error.strerror}") from error
    except ValueError as error:  # neither TOML nor UTF-8
        raise OptionError(f"cannot read {str(path)!r}: {error}") from error
    except RecursionError as error:
        raise OptionError(f"cannot read {str(path)!r}: its values are nested too deeply") from error


def _check_key(key: str, known: Collection[str], refused: Collection[str], origin: str) -> None:
    if key not in known:
        names = _list(name.replace("_", "-") for name in known if name not in refused)
        raise OptionError(f"{origin}: unknown key {key!r}; allowed: {names}")
    if key in refused:
        flag = "" if is_secret(key) else f"give --{key.replace('_', '-')}, "
        raise OptionError(
            f"{origin}: {key!r} is refused in the current folder, whose files may be someone "
            f"else's; {flag}set {PREFIX}{key.upper()}, or move it to {str(_own_file())!r}"
        )


def _strict(value: Any, key: str, option: TyperOption, context: Context, origin: str) -> Any:
    """Validate a value of a file; also refuse a TOML type that Typer would convert."""
    if isinstance(value, str) and "\0" in value:  # no path, address or name contains it
        raise OptionError(f"{origin}: {key} = {_shown(key, value)}: contains a null character")
    result = _validated(value, key, option, context, origin)
    same = isinstance(result, Path) or type(result) is type(value)
    if not same and (type(result), type(value)) != (float, int):
        expected = _EXPECTED.get(type(result), "text")
        raise OptionError(f"{origin}: {key} = {_shown(key, value)}: expected {expected}")
    return value


def _validated(value: Any, key: str, option: TyperOption, context: Context, origin: str) -> Any:
    """Return the value of an option as Typer converts it.

    Raises:
        OptionError: Typer, or the callback of the option, refuses it.
    """
    try:
        return option.process_value(context, value)
    except BadParameter as error:
        raise OptionError(f"{origin}: {key} = {_shown(key, value)}: {_reason(error)}") from error
    except OverflowError as error:
        raise OptionError(f"{origin}: {key} = {_shown(key, value)}: is too large") from error
    except OptionError as error:
        raise OptionError(f"{origin}: {key}: {error}") from error


def _reason(error: BadParameter) -> str:
    """The reason for which a value is refused, without the phrases of Pydantic."""
    text = " ".join(error.message.split()).removeprefix("Value error, ").removesuffix(".")
    for phrase, plain in _PLAIN.items():
        text = text.replace(phrase, plain)
    return text


def _shown(key: str, value: object) -> str:
    """A value in an error message, on one short line; a secret one is hidden."""
    if is_secret(key):
        return HIDDEN
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of more than 4300 digits; nested lists
        return HIDDEN
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}{HIDDEN}"


def _commands(context: Context) -> dict[str, TyperCommand]:
    """Every command that can be configured, by name."""
    group: Any = context.find_root().command
    return {k: each for k, each in group.commands.items() if isinstance(each, ConfigurableCommand)}


def effective(
    command: TyperCommand, context: Context, found: Mapping[str, Setting]
) -> dict[str, Setting]:
    """The value and the origin of every option, by key.

    A setting that an option of higher priority overrides is replaced by its default.
    """
    options = keys(command)
    out = {}
    for key, option in options.items():
        name = str(option.name)
        source = context.get_parameter_source(name)
        value = context.params.get(name)
        value = None if value == () else value  # an option that can be given several times
        if source is not None and source.name == "COMMANDLINE":
            out[key] = Setting(value, "command line", Rank.COMMAND_LINE)
        elif name in found:
            out[key] = replace(found[name], value=value)
        else:
            out[key] = Setting(value, "default")
    for key, setting in list(out.items()):
        for other in _overridden(key, setting.value, out) if setting.rank else ():
            if other in out and 0 < out[other].rank < setting.rank:
                value = options[other].default
                out[other] = Setting(value, "default")
                context.params[str(options[other].name)] = value
    return out


def _overridden(key: str, value: Any, settings: Mapping[str, Setting]) -> tuple[str, ...]:
    """Return the options that are overridden if `key` has this value, see `_OVERRIDES`."""
    if key == "size":
        return ("motion_scale",) if value == AUTO else ()
    if key == "motion_scale":
        adapts = "size" in settings and settings["size"].value == AUTO
        return ("size",) if adapts and value != AUTO else ()
    if key == "mode":
        return {"temporal": ("drift",), "static": _BAND}.get(value, ("drift", *_BAND))
    return _OVERRIDES.get(key, ())


def show(context: Context, names: list[str], args: list[str]) -> dict[str, dict[str, Setting]]:
    """The effective settings of commands, as if they were run with these arguments.

    Raises:
        OptionError: a name is not a configurable command; see also `read`.
    """
    known = _commands(context)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise OptionError(
            f"cannot show settings of {unknown[0]!r}: it has none; allowed: {_list(known)}"
        )
    return {name: _effective(known[name], context, args) for name in names or known}


def _effective(command: TyperCommand, context: Context, args: list[str]) -> dict[str, Setting]:
    command.params = [each for each in command.params if isinstance(each, TyperOption)]
    parent = context.find_root()
    settings: dict[str, Setting] = command.make_context(command.name, [*args], parent=parent).obj
    shown = {key: _safe(key, setting) for key, setting in settings.items()}
    if "alpha" not in settings:  # the command does not magnify
        return shown
    return {**shown, **_implied(settings, live=command.name in _LIVE)}


def _safe(key: str, setting: Setting) -> Setting:
    """Return the setting without credentials, with a value that is None, a number or text."""
    value = setting.value
    if value is not None and not isinstance(value, bool | int | float):
        text = " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        value = HIDDEN if is_secret(key) else protect(text)
    return Setting(value, setting.origin, setting.rank)


def _implied(settings: Mapping[str, Setting], *, live: bool) -> dict[str, Setting]:
    """The values that a preset, a band or the defaults determine for options that are not set."""
    values = {key: setting.value for key, setting in settings.items()}
    given = {key: values[key] for key in (*_IMPLIED, "drift", "band", "preset")}
    controls = make_controls(**given, live=live)
    preset, banded = values["preset"], controls.filter.mode == "temporal"
    origin = f"preset {preset}" if preset else "default"
    result = controls.settings()
    keys = _IMPLIED if banded else ("alpha", "mode")
    implied = {key: Setting(result[key], origin) for key in keys if values[key] is None}
    if values["band"] is not None:
        source = settings["band"].origin
        implied |= {key: Setting(result[key], source) for key in ("fl", "fh")}
    return implied


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
