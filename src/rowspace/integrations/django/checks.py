"""System checks: the setting and the driver always, the state of the database only with `check --database`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.core import checks
from django.db import connections, router, transaction
from sqlalchemy.orm import Session

from rowspace.errors import ConfigurationError
from rowspace.integrations.django.conf import alias_of, problems
from rowspace.integrations.django.databases import check_backend
from rowspace.integrations.django.transactions import session
from rowspace.migrations import current, head
from rowspace.repositories import Doctor
from rowspace.statements.checks import extension
from rowspace.statements.health import SERVER, Facts, ServerFact

__all__ = ["check_databases", "check_settings"]


def check_settings(**_: Any) -> list[checks.CheckMessage]:
    """Check the setting `ROWSPACE`, that its database is PostgreSQL on psycopg 3, and that its models use it."""
    found = [checks.Error(problem, id="rowspace.E001") for problem in problems()]
    if found:
        return found
    try:
        check_backend(connections[alias_of()])
    except ConfigurationError as error:
        return [checks.Error(str(error), id="rowspace.E002")]
    return [*_of_routers()]


def _of_routers() -> Iterator[checks.CheckMessage]:
    from rowspace.integrations.django.models import Collection

    alias, written = alias_of(), router.db_for_write(Collection)
    if written != alias:
        message = f"ROWSPACE['DATABASE'] is {alias!r}, but DATABASE_ROUTERS sends its models to {written!r}."
        hint = "Add 'rowspace.integrations.django.routers.RowspaceRouter' to DATABASE_ROUTERS."
        yield checks.Warning(message, hint=hint, id="rowspace.W004")


def check_databases(databases: Sequence[str] | None = None, **_: Any) -> list[checks.CheckMessage]:
    """Check the extension, the revision and the indexes of those databases that hold Rowspace's tables.

    Problems are warnings, because errors would prevent `migrate` from fixing them.
    """
    return [message for alias in databases or () if _is_ours(alias) for message in _checked(alias)]


def _is_ours(alias: str) -> bool:
    wrapper = connections[alias]
    return wrapper.vendor == "postgresql" and bool(router.allow_migrate(alias, "rowspace"))


def _checked(alias: str) -> list[checks.CheckMessage]:
    with transaction.atomic(using=alias), session(alias) as made:
        return [*_of_extension(made), *_of_schema(made, alias)]


def _of_extension(made: Session) -> Iterator[checks.CheckMessage]:
    for finding in extension(Facts(ServerFact(**made.execute(SERVER).mappings().one()))):
        if finding.severity != "info":
            yield checks.Warning(f"{finding.what} {finding.why}", hint=finding.fix, id="rowspace.W001")


def _of_schema(made: Session, alias: str) -> Iterator[checks.CheckMessage]:
    revision = current(made.connection())
    if revision != head():
        message = f"Rowspace's tables in {alias!r} are at revision {revision}, but this version needs {head()}."
        # Django does not repeat a migration that it recorded as done, as after `rowspace_migrate --downgrade`.
        hint = f"Run: python manage.py migrate --database {alias}. If it has nothing to do, run rowspace_migrate."
        yield checks.Warning(message, hint=hint, id="rowspace.W002")
        return
    for finding in Doctor(made).check():
        if finding.check != "extension" and finding.severity != "info":
            yield checks.Warning(f"{finding.what} {finding.why}", hint=finding.fix, id="rowspace.W003")
