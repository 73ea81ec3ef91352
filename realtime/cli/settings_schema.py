"""What rtmag.toml and RTMAG_* may say: the commands' own options, as pydantic reads them.

Nothing is declared twice: types and bounds are those of the options. Only settings.py imports this,
and only where there is something to read.
"""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

from pydantic import AfterValidator, BaseModel, Field, ValidationError, create_model
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from typer.core import TyperCommand, TyperOption

from rtmag.realtime.cli.options import parse_live_size
from rtmag.realtime.errors import OptionError
from rtmag.realtime.filters import parse_band
from rtmag.realtime.log import HIDDEN, is_secret

PREFIX = "RTMAG_"

Options = Mapping[str, TyperOption]

Said = dict[str, Any]
"""Key -> value; of a file also table -> keys and values."""

_STRICT = SettingsConfigDict(
    extra="forbid",
    strict=True,
    alias_generator=lambda name: name.replace("_", "-"),
    populate_by_name=True,
    protected_namespaces=(),
)

_LAX = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, protected_namespaces=())

_PARSERS: dict[str, Callable[[str], object]] = {"band": parse_band, "size": parse_live_size}
"""Options that are text to the command line."""


def in_file(
    path: Path, command: TyperCommand, known: Mapping[str, tuple[TyperCommand, Options]]
) -> Said:
    """What a file says about a command and, in tables, about each of those known.

    Raises:
        OptionError: it cannot be read, a key is unknown, a value is of the wrong type.
    """
    tables: dict[str, Any] = {
        name: (create_model(name, __config__=_STRICT, **_fields(each, options)) | None, None)
        for name, (each, options) in known.items()
    }
    anywhere = {key: (Any, None) for _, options in known.values() for key in options}
    own = _fields(command, known[str(command.name)][1])
    try:
        return _read(
            {**anywhere, **own, **tables},
            _STRICT,
            lambda cls: TomlConfigSettingsSource(cls, path),
        )
    except ValidationError as error:
        allowed = {name: set(options) for name, (_, options) in known.items()}
        raise OptionError(_in_words(error, str(path), set(anywhere), allowed)) from error
    except OSError as error:
        raise OptionError(f"cannot read {str(path)!r}: {error.strerror}") from error
    except ValueError as error:  # no TOML, or no text
        raise OptionError(f"cannot read {str(path)!r}: {error}") from error


def in_variables(command: TyperCommand, options: Options) -> Said:
    """What the environment says about a command.

    Raises:
        OptionError: a value is of the wrong type.
    """
    try:
        return _read(_fields(command, options), _LAX, EnvSettingsSource)
    except ValidationError as error:
        variable = PREFIX + str(error.errors()[0]["loc"][0]).upper()
        raise OptionError(_in_words(error, variable, set(), {})) from error


def _fields(command: TyperCommand, options: Options) -> dict[str, Any]:
    """Type and bounds of each option; None where it is not given."""
    function: Any = command.callback
    hints = get_type_hints(inspect.unwrap(function), include_extras=True)
    return {key: _field(key, hints[str(option.name)]) for key, option in options.items()}


def _field(key: str, declared: Any) -> Any:
    hint, option = get_args(declared)
    if hint == Path | None:
        hint = str  # strictly, text is no path
    if key in _PARSERS:
        hint = Annotated[str, AfterValidator(_checked_by(_PARSERS[key]))]
    return hint | None, Field(None, ge=option.min, le=option.max)


def _checked_by(parse: Callable[[str], object]) -> Callable[[str], str]:
    def check(text: str) -> str:
        parse(text)
        return text

    return check


def _read(
    fields: dict[str, Any],
    config: SettingsConfigDict,
    source: Callable[[type[BaseSettings]], PydanticBaseSettingsSource],
) -> Said:
    """What one source says; which of several wins is for settings.py to decide."""

    class One(BaseSettings):
        model_config = config

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return (source(settings_cls),)

    model: type[BaseModel] = create_model("Settings", __base__=One, **fields)
    return model().model_dump(exclude_unset=True)


def _in_words(
    error: ValidationError, origin: str, anywhere: set[str], tables: dict[str, set[str]]
) -> str:
    """The first thing wrong: where, what it is, and what is allowed."""
    found = error.errors()[0]
    *table, key = (str(part) for part in found["loc"])
    where = f" in [{table[0]}]" if table else ""
    if found["type"] == "extra_forbidden" and isinstance(found["input"], dict) and not table:
        return f"{origin}: no such table [{key}]; allowed: {', '.join(sorted(tables))}"
    if found["type"] == "extra_forbidden":
        allowed = tables[table[0]] if table else anywhere
        names = ", ".join(sorted(name.replace("_", "-") for name in allowed))
        return f"{origin}: unknown key {key!r}{where}; allowed: {names}"
    if found["type"] == "value_error":  # one of _PARSERS, whose words name the value
        return f"{origin}: {key}{where}: {found['ctx']['error']}"
    words = found["msg"].removeprefix("Input ")
    value = HIDDEN if is_secret(key) else repr(found["input"])
    return f"{origin}: {key} = {value}{where}; it {words}"
