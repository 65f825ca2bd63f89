"""The doctor: checks tables with vectors, collections and the given models."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from rowspace.diagnosis import Finding
from rowspace.errors import PermissionDenied, mapped_errors
from rowspace.models import Collection, Document
from rowspace.repositories._async.advising import AsyncIndexAdvisor
from rowspace.repositories.building import asked_for
from rowspace.repositories.given import AsyncAnySession, session_of
from rowspace.repositories.in_force import is_autocommit
from rowspace.repositories.sampling import NothingToSearchBy
from rowspace.repositories.schemas import schema_in, schemas_of
from rowspace.repositories.targets import searches_of
from rowspace.settings import SearchSettings
from rowspace.statements import catalog, documents
from rowspace.statements.checks import SEVERITIES, UNSEARCHABLE, check, recall_finding, unreadable_finding
from rowspace.statements.health import SERVER, Asked, Facts, ServerFact, tables, tables_of
from rowspace.statements.identifiers import qualified

__all__ = ["AsyncDoctor"]


class AsyncDoctor:
    """Checks a database with vectors, in the caller's session; it only reads.

    Args:
        session: a SQLAlchemy async session of any role.
        models: declarative classes whose tables and indexes are checked in addition to the collections.
    """

    def __init__(self, session: AsyncAnySession, models: Sequence[type[Any]] = ()) -> None:
        self.session: AsyncSession = session_of(session, AsyncSession)
        self._models = tuple(models)

    async def check(self, *, recall: float | None = None, queries: int = 20) -> list[Finding]:
        """Return the findings of all checks, most severe first; an empty list if all is well.

        Costs a few catalog queries; with `recall`, also two searches per query, one of them exact, in each collection
        and for each indexed vector column of each model. These run in savepoints: a table that the role may not read is
        a finding, and the other checks continue.

        Args:
            recall: also measure the recall, and report it if it is below this share; above 0 and at most 1.
            queries: the number of stored rows to search by, per collection and column.

        Raises:
            ConfigurationError: `queries` is below 1.
            SchemaNotReady: no models are given, and Rowspace's tables do not exist.
        """
        SearchSettings(recall=recall)
        with mapped_errors():
            looked_at: list[type[Any] | Collection] = [*await self._collections(), *self._models]
            facts = await self._facts([await self._asked(over) for over in looked_at])
        found = check(facts)
        if recall is not None:
            unsearchable = {finding.subject for finding in found if finding.check in UNSEARCHABLE}
            for over, asked in zip(looked_at, facts.asked, strict=True):
                if asked.name not in unsearchable:
                    found += await self._probed(over, asked, recall, queries)
        return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))

    async def _collections(self) -> list[Collection]:
        """Return the collections, none if an application uses only its own models and has no table for them."""
        connection = await self._connection(Document)
        table = qualified(Collection.__tablename__, schema_in(schemas_of(connection), Collection.__table__))
        if self._models and not await connection.scalar(catalog.is_there(table)):
            return []
        return [*await self.session.scalars(documents.collections())]

    async def _asked(self, over: type[Any] | Collection) -> Asked:
        return asked_for(over, schemas_of(await self._connection(over)))

    async def _facts(self, asked: Sequence[Asked]) -> Facts:
        connection = await self._connection(Document)
        server = (await connection.execute(SERVER)).mappings().one()
        found = tables_of(await connection.execute(tables(asked)))
        indexes = catalog.facts_of(await connection.execute(catalog.all_index_facts()))
        return Facts(ServerFact(**server), found, indexes, asked)

    async def _probed(self, over: type[Any] | Collection, asked: Asked, recall: float, queries: int) -> list[Finding]:
        found: list[Finding] = []
        for options, named in _searches(over):
            advisor = AsyncIndexAdvisor(self.session, over, **options)
            try:
                async with await self._savepoint(over):
                    measured = await advisor.recall(queries=queries)
            except NothingToSearchBy:
                continue
            except PermissionDenied as error:
                return [*found, unreadable_finding(asked, error)]
            finding = recall_finding(asked, measured, recall, **named)
            found += [] if finding is None else [finding]
        return found

    async def _savepoint(self, over: type[Any] | Collection) -> AbstractAsyncContextManager[Any]:
        """Return a savepoint, which keeps the transaction usable if a statement fails; nothing in AUTOCOMMIT."""
        return nullcontext() if is_autocommit(await self._connection(over)) else self.session.begin_nested()

    async def _connection(self, over: type[Any] | Collection) -> Any:
        model = Document if isinstance(over, Collection) else over
        return await self.session.connection(bind_arguments={"mapper": model})


def _searches(over: type[Any] | Collection) -> list[tuple[dict[str, Any], dict[str, str]]]:
    """Return the options of an advisor for each search, and the subset that distinguishes it from the others."""
    if isinstance(over, Collection):
        return [({}, {})]
    searches = searches_of(over)
    columns = [column for column, _ in searches]
    options = [{"column": column, "distance": distance} for column, distance in searches]
    if len(searches) < 2:
        return [(one, {}) for one in options]
    names = ["column", "distance"] if len(set(columns)) < len(columns) else ["column"]
    return [(one, {name: str(one[name]) for name in names if one[name]}) for one in options]
