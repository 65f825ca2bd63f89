"""Whether Rowspace can serve: for a probe of whatever starts, watches and restarts a service."""

from __future__ import annotations

from rowspace.errors import RowspaceError, SchemaNotReady
from rowspace.models import Document
from rowspace.repositories.schemas import schema_in, schemas_of
from rowspace.services._async.sessions import AsyncSessions, begin
from rowspace.services.models import Readiness
from rowspace.services.readiness import broken, unmigrated, unreached
from rowspace.statements.catalog import facts_of, invalid_partition_index_facts

__all__ = ["readiness"]


async def readiness(sessions: AsyncSessions) -> Readiness:
    """Return whether the database answers, its migrations are at the head and no collection's index is left INVALID.

    An index that is being built is none of these. Costs two looks into the catalogs. What it says holds neither a host
    nor a user nor SQL: it may be shown.
    """
    # Alembic is a fifth of what importing the services would take, and here alone they need it.
    from rowspace.migrations import head
    from rowspace.migrations.version import revision

    try:
        async with begin(sessions) as session:
            found = await session.scalar(revision())
            if found != head():
                return unmigrated(found, head())
            connection = await session.connection(bind_arguments={"mapper": Document})
            schema = schema_in(schemas_of(connection), Document.__table__)
            rows = await session.execute(invalid_partition_index_facts(Document.__tablename__, schema))
            return broken(facts_of(rows))
    except SchemaNotReady:
        return unmigrated(None, head())
    except RowspaceError as error:
        return unreached(error)
