"""The messages of a readiness probe. They contain no host, user, SQL or driver message, because they may be public."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.exc import TimeoutError as PoolTimeout

from rowspace.errors import PermissionDenied, RowspaceError, StoreUnavailable, TransactionConflict
from rowspace.services.models import Readiness
from rowspace.statements.catalog import IndexFact

__all__ = ["broken", "unmigrated", "unreached"]

_SAID: dict[type[RowspaceError], str] = {
    StoreUnavailable: "The database cannot be reached.",
    PermissionDenied: "The server's role in the database may not read Rowspace's tables.",
    TransactionConflict: "Another transaction was in the way.",
}


def unmigrated(revision: str | None, needed: str) -> Readiness:
    """Return the state of a database that is not at the needed migration."""
    if revision is None:
        said = f"The database has no tables of Rowspace, but needs migration {needed!r}. Run `rowspace db upgrade`."
    else:
        said = (
            f"The database is at migration {revision!r}, but this version of Rowspace needs {needed!r}. Run "
            "`rowspace db upgrade`, or start the version of Rowspace that migrated the database."
        )
    return Readiness(migrations=said)


def broken(indexes: Iterable[IndexFact]) -> Readiness:
    """Return the state if indexes are INVALID and not being built."""
    names = [index.name for index in indexes if index.state == "invalid"]
    if not names:
        return Readiness()
    said = f"These indexes are INVALID, so no search uses them: {', '.join(names)}. Run `rowspace doctor` for the fix."
    return Readiness(indexes=said)


def unreached(error: RowspaceError) -> Readiness:
    """Return the state of a database that did not answer."""
    if isinstance(error.__cause__, PoolTimeout):
        return Readiness(database="Every connection to the database is in use.")
    said = next((said for kind, said in _SAID.items() if isinstance(error, kind)), "The database failed.")
    return Readiness(database=said)
