"""What a probe says where something is wrong: without a host, a user, SQL or a driver's words, as it may be shown."""

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
    """Return what is so where the database is at another migration than the one that is needed, or at none."""
    if revision is None:
        said = f"The database has no tables of Rowspace, migration {needed!r} is needed: run `rowspace db upgrade`."
    else:
        said = (
            f"The database is at migration {revision!r}, this version of Rowspace needs {needed!r}: run "
            "`rowspace db upgrade`, or start the version that the database is of."
        )
    return Readiness(migrations=said)


def broken(indexes: Iterable[IndexFact]) -> Readiness:
    """Return whether an index is INVALID, and nobody at work on it."""
    names = [index.name for index in indexes if index.state == "invalid"]
    if not names:
        return Readiness()
    said = f"INVALID, so that no search uses them: {', '.join(names)}. `rowspace doctor` says how to repair them."
    return Readiness(indexes=said)


def unreached(error: RowspaceError) -> Readiness:
    """Return what is so where the database was asked and did not answer."""
    if isinstance(error.__cause__, PoolTimeout):
        return Readiness(database="Every connection to the database is in use.")
    said = next((said for kind, said in _SAID.items() if isinstance(error, kind)), "The database failed.")
    return Readiness(database=said)
