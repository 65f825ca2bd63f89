"""The command `rowspace`: its global options and its commands."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer
from pydantic import SecretStr

from rowspace.cli import collections, db, demo, doctor, export, index, ingest, reembed, search, serve, ui
from rowspace.cli.process import Program, say
from rowspace.cli.settings import Settings

__all__ = ["app"]

_EPILOG = """\b
Exit codes:
  0    done
  1    an error that the message explains: an invalid line, an unknown collection
  2    an unknown command or option, or wrong usage
  3    the database cannot be reached, or its tables are not up to date
  130  stopped by Ctrl-C; other signals: 128 plus their number

Variables: ROWSPACE_DATABASE_URL, ROWSPACE_SCHEMA, ROWSPACE_COLLECTION,
ROWSPACE_EMBEDDER (local, or module:attribute), and ROWSPACE_DATA_DIR, where
the embedded server keeps its data."""

app = typer.Typer(
    cls=Program,
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Plain text looks the same on a narrow terminal, in a pipe and without UTF-8.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.command()(demo.demo)
app.command(short_help="Load documents from a file.")(ingest.ingest)
app.command(short_help="Write a collection to a file.")(export.export)
app.command()(search.search)
app.command(short_help="Search, ask questions, plot and load in a browser.")(ui.ui)
app.command(short_help="Serve documents and searches over HTTP.")(serve.serve)
app.command(short_help="Embed a collection again, with another embedder.")(reembed.reembed)
app.command(short_help="Measure the recall of searches, and set a target.")(index.tune)
app.command(short_help="Check the indexes for problems.")(doctor.doctor)
app.add_typer(collections.app, name="collections")
app.add_typer(db.app, name="db")
app.add_typer(index.app, name="index")


def _print_version(value: bool) -> None:  # noqa: FBT001 -- the callback's signature is typer's
    if value:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"rowspace {version('rowspace')}")
        except PackageNotFoundError:
            typer.echo("rowspace, run from its sources")
        raise typer.Exit


_Version = Annotated[
    bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
]


@app.callback()
def rowspace(
    context: typer.Context,
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="The database; by default, the embedded PostgreSQL.")
    ] = None,
    schema: Annotated[str | None, typer.Option(metavar="NAME", help="The schema of Rowspace's tables.")] = None,
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: _Version = False,
) -> None:
    """Load and search documents in PostgreSQL with pgvector.

    \b
    Examples:
      rowspace demo
      rowspace --url postgresql://me@localhost/app db upgrade
      rowspace ingest articles.jsonl --collection articles
      rowspace search 'what is a vector index?' --collection articles
    """  # noqa: D301 -- \b keeps the lines of a paragraph
    del debug, version  # read where they take effect
    given: dict[str, Any] = {"database_url": url and SecretStr(url), "database_schema": schema}
    # A program that embeds these commands brings its own settings.
    if context.obj is None:
        _warn_of_misspelt()
    context.obj = (context.obj or Settings()).overridden(**given)


def _warn_of_misspelt() -> None:
    """Warn about variables that look mistyped: without ROWSPACE_DATABASE_URL, commands use the embedded server."""
    from rowspace.integrations.rest.settings import misspelt

    for name, meant in misspelt(os.environ).items():
        say(f"Warning: {name} is not a setting and has no effect. Did you mean {meant}?")
