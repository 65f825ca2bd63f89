"""`rowspace db`: the migrations, for installations without a checkout to run `alembic` in."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from rowspace.cli.process import ExitCode, confirm, fail, say
from rowspace.cli.session import open_database, settings_of
from rowspace.errors import StoreUnavailable, mapped_errors

if TYPE_CHECKING:
    from rowspace import Database

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Migrate Rowspace's tables.")

_Sql = Annotated[bool, typer.Option("--sql", help="Print the SQL instead of running it. Needs no database.")]


@app.command()
def upgrade(
    context: typer.Context,
    revision: Annotated[str, typer.Argument(help="A revision, or head.")] = "head",
    *,
    sql: _Sql = False,
    wait: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long to wait for the server to start.")
    ] = 0,
) -> None:
    """Create the tables, or bring them up to date. Several processes may run it at once.

    \b
    Examples:
      rowspace db upgrade
      rowspace db upgrade --wait 30
      rowspace --schema rag db upgrade --sql > upgrade.sql
    """  # noqa: D301
    from rowspace import migrations

    settings = settings_of(context)
    if sql:
        migrations.upgrade(None, revision, schema=settings.database_schema, sql=True, stream=sys.stdout)
        return
    with open_database(settings) as database:
        wait_for(database, wait)
        before = migrations.current(database.engine)
        migrations.upgrade(database.engine, revision)
        after = migrations.current(database.engine)
    say(f"Already at {after}." if before == after else f"Upgraded from {before or 'nothing'} to {after}.")


@app.command()
def downgrade(
    context: typer.Context,
    revision: Annotated[str, typer.Argument(help="A revision, or base; with --sql a range such as 0001:base.")],
    *,
    sql: _Sql = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Revert the tables to a revision. Reverting to base drops every document.

    \b
    Examples:
      rowspace db downgrade base
      rowspace db downgrade 0001:base --sql > downgrade.sql
    """  # noqa: D301
    from rowspace import migrations

    settings = settings_of(context)
    if sql:
        migrations.downgrade(None, revision, schema=settings.database_schema, sql=True, stream=sys.stdout)
        return
    confirm(f"Downgrade the tables to {revision}? The documents that this drops cannot be recovered.", yes=yes)
    with open_database(settings) as database:
        migrations.downgrade(database.engine, revision)
        say(f"Now at {migrations.current(database.engine) or 'nothing'}.")


@app.command()
def current(context: typer.Context) -> None:
    """Print the revision of the database. The exit code is 3 unless it is the newest.

    \b
    Examples:
      rowspace db current
      rowspace db current || rowspace db upgrade
    """  # noqa: D301
    from rowspace import migrations

    with open_database(settings_of(context)) as database:
        found, newest = migrations.current(database.engine), migrations.head()
    typer.echo(f"{found or 'nothing'}{' (head)' if found == newest else ''}")
    if found is not None and found > newest:
        fail(f"This version of Rowspace supports revisions up to {newest}. Upgrade Rowspace.", ExitCode.UNAVAILABLE)
    if found != newest:
        fail(f"The newest revision is {newest}. Run: rowspace db upgrade", ExitCode.UNAVAILABLE)


def wait_for(database: Database, seconds: float) -> None:
    """Retry until the server accepts a connection, for at most `seconds`."""
    import stamina

    if not seconds:
        return
    # Replaces stamina's log entry for each attempt.
    stamina.instrumentation.set_on_retry_hooks([lambda details: say(f"Waiting: {details.caused_by}")])
    for attempt in stamina.retry_context(on=StoreUnavailable, attempts=None, timeout=seconds, wait_max=2):
        with attempt, mapped_errors(), database.engine.connect():
            pass
