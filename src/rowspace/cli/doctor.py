"""`rowspace doctor`: check the server, its indexes and collections, and print each problem with its fix."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from rowspace.cli.process import ExitCode, plain, say
from rowspace.cli.session import open_database, settings_of

if TYPE_CHECKING:
    from rowspace import Finding

__all__ = ["doctor"]


def doctor(
    context: typer.Context,
    *,
    recall: Annotated[
        float | None,
        typer.Option(min=0.01, max=1, metavar="SHARE", help="Also check that the recall is at least this."),
    ] = None,
    queries: Annotated[
        int, typer.Option(min=1, metavar="N", help="Number of searches per collection for --recall.")
    ] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
) -> None:
    """Check for INVALID, missing, duplicate, oversized or unused indexes, wrong distances and stale statistics.

    The exit code is 1 if it finds a warning or an error, otherwise 0.

    \b
    Examples:
      rowspace doctor
      rowspace doctor --recall 0.95
      rowspace doctor --json
    """  # noqa: D301
    from rowspace import Doctor

    with open_database(settings_of(context)) as database, database.begin() as session:
        found = Doctor(session).check(recall=recall, queries=queries)
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in found], indent=2))
    else:
        _print(found)
    if any(finding.severity != "info" for finding in found):
        raise typer.Exit(ExitCode.ERROR)


def _print(found: Sequence[Finding]) -> None:
    for finding in found:
        typer.echo(plain(f"{finding.severity}: {finding.what} [{finding.check}]"))
        typer.echo(plain(f"  why: {finding.why}"))
        typer.echo(plain(f"  fix: {finding.fix}"))
    if not found:
        say("No problems found.")
