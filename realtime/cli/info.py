"""The commands that tell what options stand for: `rtmag presets` and `rtmag config show`."""

import json
from typing import Annotated

import typer

from rtmag.realtime.cli.settings import show
from rtmag.realtime.filters import format_band
from rtmag.realtime.presets import PRESETS

config = typer.Typer(no_args_is_help=True, help="Options from rtmag.toml and RTMAG_* variables.")


@config.command("show", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def config_show(
    context: typer.Context,
    command: Annotated[str | None, typer.Argument(metavar="[COMMAND] [ITS OPTIONS]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show each option's value and where it comes from."""
    shown = show([command] if command else [], context.args)
    if as_json:
        plain = {
            name: {key: {"value": each.value, "from": each.origin} for key, each in found.items()}
            for name, found in shown.items()
        }
        typer.echo(json.dumps(plain, indent=2))
        return
    for name, found in shown.items():
        typer.echo(f"[{name}]")
        for key, each in found.items():
            typer.echo(f"{key:14} {'-' if each.value is None else each.value!s:14} {each.origin}")


def presets() -> None:
    """List what --preset may be: mode, band, alpha and order that go together, and why."""
    for name, preset in PRESETS.items():
        band = format_band(*preset.band, preset.unit)
        typer.echo(
            f"{name:9} --mode {preset.mode} --band {band} --alpha {preset.alpha:g} "
            f"--order {preset.order}"
        )
        typer.echo(f"          {preset.why}")
