"""Whether Rowspace can serve requests: for the readiness probe of an orchestrator."""

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

    An index under construction does not count as INVALID. Costs two catalog queries. The messages contain no host, user
    or SQL, and may be shown to clients.
    """
    # Alembic would be a fifth of the import time of the services, and only this function needs it.
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
