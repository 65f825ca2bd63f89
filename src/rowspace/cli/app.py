"""The command `rowspace`: its global options and its commands."""

from __future__ import annotations

from typing import Annotated

import typer

from rowspace.cli.demo import demo
from rowspace.cli.process import Program
from rowspace.cli.settings import Settings

__all__ = ["app"]

app = typer.Typer(
    cls=Program,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(demo)


def _print_version(*, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"rowspace {version('rowspace')}")
        raise typer.Exit


@app.callback()
def rowspace(
    context: typer.Context,
    *,
    url: Annotated[str | None, typer.Option(metavar="URL", help="...")] = None,
    schema: Annotated[str | None, typer.Option(metavar="NAME", help="...")] = None,
    debug: Annotated[bool, typer.Option("--debug", help="...")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="...")] = False,
) -> None:
    """Documents in PostgreSQL + pgvector: load them, search them, look after their tables."""
    context.obj = Settings().overridden(database_url=url, database_schema=schema)
