"""`manage.py rowspace_migrate`: run Rowspace's Alembic migrations on Django's database, without those of apps."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from rowspace.integrations.django.management.base import RowspaceCommand
from rowspace.integrations.django.transactions import session
from rowspace.migrations import current, downgrade, head, upgrade

__all__ = ["Command"]


class Command(RowspaceCommand):
    """Migrate Rowspace's tables to a revision, in one transaction."""

    help = "Run Rowspace's own (Alembic) migrations. `migrate` runs them too, as part of the project's migrations."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the revision and its options."""
        super().add_arguments(parser)
        parser.add_argument("revision", nargs="?", default=None, help="A revision; by default the newest.")
        parser.add_argument("--downgrade", action="store_true", help="Revert to the revision; base drops the tables.")
        parser.add_argument("--check", action="store_true", help="Change nothing; exit with 1 unless it is the newest.")
        parser.add_argument("--sql", action="store_true", help="Print the SQL instead of running it.")

    def run(self, **options: Any) -> None:
        """Migrate, check or print."""
        if options["downgrade"] and options["revision"] is None:
            message = "--downgrade requires a revision. The revision base drops every document."
            raise CommandError(message)
        if options["sql"]:
            _migrate(None, options, sql=True, stream=self.stdout)
            return
        using = options["database"]
        with transaction.atomic(using=using), session(using) as made:
            connection = made.connection()
            before = current(connection)
            if options["check"]:
                self._check(before)
                return
            _migrate(connection, options)
            after = current(connection)
        if options["verbosity"]:
            same = f"Rowspace's tables in {using!r} are at {after}."
            self.stdout.write(same if before == after else f"Rowspace's tables in {using!r}: from {before} to {after}.")

    def _check(self, revision: str | None) -> None:
        if revision != head():
            message = f"Rowspace's tables are at revision {revision}, but this version needs {head()}."
            raise CommandError(message)
        self.stdout.write(f"Rowspace's tables are at {revision}, the newest revision.")


def _migrate(target: Any, options: dict[str, Any], **how: Any) -> None:
    if options["downgrade"]:
        downgrade(target, options["revision"], **how)
    else:
        upgrade(target, options["revision"] or "head", **how)
