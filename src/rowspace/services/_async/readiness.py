"""Whether Rowspace can serve: for a probe of whatever starts, watches and restarts a service."""

from __future__ import annotations

from rowspace.errors import RowspaceError, SchemaNotReady, mapped_errors
from rowspace.migrations.version import newest, revision
from rowspace.repositories import AsyncDoctor
from rowspace.services._async.sessions import AsyncSessions
from rowspace.services.models import Readiness

__all__ = ["readiness"]

_UNREADY = "The database is not at the migration of this version of Rowspace: run `rowspace db upgrade`."


async def readiness(sessions: AsyncSessions) -> Readiness:
    """Return whether the database answers, its migrations are at the head and no index is left INVALID.

    Costs a few looks into the catalogs. What it says holds neither a host nor a user nor SQL: it may be shown.
    """
    try:
        with mapped_errors():
            async with sessions.begin() as session:
                if await session.scalar(revision()) != newest():
                    return Readiness(migrations=_UNREADY)
                found = await AsyncDoctor(session).check()
    except SchemaNotReady:
        return Readiness(migrations=_UNREADY)
    except RowspaceError:
        return Readiness(database="The database cannot be reached.")
    broken = [finding.subject for finding in found if finding.check == "invalid-index"]
    if broken:
        return Readiness(indexes=f"INVALID, so that searches do not use them: {', '.join(broken)}.")
    return Readiness()
