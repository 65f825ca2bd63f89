"""One tenant's rows are kept from another's by `with_loader_criteria`, as applications do it, whatever reads or writes.

And so are the rows of a class of single-table inheritance from those of its siblings.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from sqlalchemy import ForeignKey, Text, event, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, with_loader_criteria

from rowspace import (
    AsyncAnalysisRepository,
    AsyncBrowseRepository,
    AsyncHybridRepository,
    AsyncIndexAdvisor,
    AsyncMatrixRepository,
    AsyncRepository,
    AsyncSearchRepository,
    AsyncTableRepository,
    LoadReport,
    Vector,
)
from rowspace.errors import ConfigurationError, PermissionDenied, RowNotFound

HIDDEN, ROWS = 3, 60


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "notes of: 100%"

    id: Mapped[int] = mapped_column("Key", primary_key=True)
    tenant: Mapped[str] = mapped_column("its tenant", Text)
    text: Mapped[str] = mapped_column(Text)
    meta: Mapped[dict] = mapped_column("metadata", JSONB)
    embedding: Mapped[object] = mapped_column("Vec", Vector(3), deferred=True)

    __mapper_args__: ClassVar = {"polymorphic_on": "tenant", "polymorphic_abstract": True}


class Mine(Note):
    __mapper_args__: ClassVar = {"polymorphic_identity": "mine"}


class Yours(Note):
    __mapper_args__: ClassVar = {"polymorphic_identity": "yours"}


class Entry(Base):
    __tablename__ = "entries_of_a_kind"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str | None] = mapped_column("Kind of it", Text)
    embedding: Mapped[object] = mapped_column(Vector(3))

    __mapper_args__: ClassVar = {"polymorphic_on": "kind", "polymorphic_identity": "it's one"}


class Memo(Entry):
    __mapper_args__: ClassVar = {"polymorphic_identity": "memo"}


class Animal(Base):
    __tablename__ = "animals"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    embedding: Mapped[object] = mapped_column(Vector(3))

    __mapper_args__: ClassVar = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}


class Cat(Animal):
    __tablename__ = "cats"

    id: Mapped[int] = mapped_column(ForeignKey(Animal.id), primary_key=True)
    lives: Mapped[int]

    __mapper_args__: ClassVar = {"polymorphic_identity": "cat"}


@pytest.fixture(scope="module", autouse=True)
def tables(create_tables):
    create_tables(Base.metadata)


def row(number, tenant):
    vector = np.array([np.sin(number), np.cos(number), number % 7])
    meta = {"of": tenant}
    return {"id": number, "tenant": tenant, "text": f"word {number}", "meta": meta, "embedding": vector}


@pytest.fixture(params=["by criteria", "by criteria, aliases too", "by inheritance"])
async def rows(request, session):
    """The session, and the model to ask for: of its table a half is to be seen, every row with an even key."""
    every = [row(number, "yours" if number % 2 else "mine") for number in range(ROWS)]
    await AsyncRepository(session, Note).upsert(every)
    if request.param == "by inheritance":
        return session, Mine
    options = {"include_aliases": "aliases" in request.param}

    def limit(state):
        if state.is_select and not state.is_column_load and not state.is_relationship_load:
            only = with_loader_criteria(Note, lambda model: model.tenant == "mine", **options)
            state.statement = state.statement.options(only)

    event.listen(getattr(session, "sync_session", session), "do_orm_execute", limit)
    return session, Note


QUERY = [1.0, 0.0, 2.0]
SEEN = list(range(0, ROWS, 2))


def ids(hits):
    return sorted(hit.entity.id for hit in hits)


async def test_searches(rows):
    session, model = rows
    assert ids(await AsyncRepository(session, model).nearest(QUERY, ROWS, exact=True)) == SEEN
    texts = AsyncHybridRepository(session, model, text="text")
    assert ids(await texts.text("word", len(SEEN), max_ranked=len(SEEN))) == SEEN
    assert ids(await texts.hybrid("word", QUERY, len(SEEN))) == SEEN
    groups = await AsyncSearchRepository(session, model).grouped(QUERY, "of", groups=5, per_group=ROWS)
    assert [(group.key, ids(group.hits)) for group in groups] == [("mine", SEEN)]
    assert ids([hit async for hit in AsyncRepository(session, model).stream(QUERY)]) == SEEN
    assert await AsyncIndexAdvisor(session, model).recall(ROWS - 1, queries=ROWS) == 1.0


async def test_listings_and_summaries(rows):
    session, model = rows
    browse = AsyncBrowseRepository(session, model)
    assert [entity.id for entity in (await browse.scroll(ROWS)).items] == SEEN
    counts = await browse.facets(["of", model.tenant, model.id], limit=ROWS)
    assert [(count.value, count.count) for count in counts["of"]] == [("mine", len(SEEN))]
    assert [(count.value, count.count) for count in counts["tenant"]] == [("mine", len(SEEN))]
    assert [count.value for count in counts["id"]] == SEEN
    assert await browse.distinct("of") == ["mine"]
    stats = await browse.stats(model.id)
    assert (stats.count, stats.distinct, stats.minimum, stats.maximum) == (len(SEEN), len(SEEN), 0, SEEN[-1])


async def test_bulk_reads(rows):
    session, model = rows
    matrices = AsyncMatrixRepository(session, model)
    assert sorted((await matrices.read()).keys) == SEEN
    assert sorted((await matrices.read([model.id >= 10])).keys) == SEEN[5:]
    assert sorted((await matrices.read({"of": {"$ne": "nobody"}})).keys) == SEEN
    tables = AsyncTableRepository(session, model)
    async with tables.stream(["id", "text"]) as parts:
        assert sum([len(part["id"]) async for part in parts]) == len(SEEN)
    assert await tables.metadata_kinds() == {"of": {"string"}}


async def test_analyses(rows):
    session, model = rows
    analysis = AsyncAnalysisRepository(session, model)
    assert sorted((await analysis.distances(QUERY)).keys) == SEEN
    assert [(one.value, one.count) for one in await analysis.statistics("of")] == [("mine", len(SEEN))]
    assert sorted((await analysis.projection()).keys) == SEEN


async def test_a_load_updates_no_row_that_the_session_does_not_show(rows):
    session, model = rows
    repository = AsyncRepository(session, model)
    report = await repository.upsert([row(0, "mine"), row(ROWS, "mine")])
    assert (report.updated, report.inserted) == (1, 1)
    async with session.begin_nested() as savepoint:
        with pytest.raises(PermissionDenied, match="1 of the rows have the key of a row in notes of: 100% that"):
            await repository.upsert([row(2, "mine"), row(HIDDEN, "mine")])
        await savepoint.rollback()
    assert await session.scalar(select(Note.__table__.c["its tenant"]).where(Note.__table__.c.Key == HIDDEN)) == "yours"


async def test_a_new_row_is_of_the_class_that_is_loaded_and_a_known_one_stays_of_its_own(session):
    def load(model, *keys):
        return AsyncRepository(session, model).upsert([{"id": key, "embedding": [key, 0, 1]} for key in keys])

    async def of(model):
        return [*await session.scalars(select(model.id).order_by(model.id))]

    assert await load(Memo, 1, 2) == LoadReport(2, inserted=2)
    assert await load(Entry, 2, 3) == LoadReport(2, inserted=1, updated=1)
    assert (await of(Memo), await of(Entry)) == ([1, 2], [1, 2, 3])
    assert type(await session.get(Entry, 3)) is Entry
    entries, memos = AsyncRepository(session, Entry, distance="l2"), AsyncRepository(session, Memo, distance="l2")
    assert [type(hit.entity) for hit in await entries.nearest([3, 0, 1])] == [Entry, Memo, Memo]
    assert [hit.entity.id for hit in await memos.nearest([3, 0, 1])] == [2, 1]


async def test_a_model_of_several_tables_is_searched_and_not_written_in_bulk(session):
    session.add_all([Cat(id=number, lives=9, embedding=[number, 0, 1]) for number in range(3)])
    await session.flush()
    cats = AsyncRepository(session, Cat)
    assert [hit.entity.id for hit in await cats.nearest([2, 0, 1])] == [2, 1, 0]
    assert [hit.entity.id for hit in await cats.nearest([2, 0, 1], where=[Cat.lives == 9])] == [2, 1, 0]
    several = "needs a model of a single table; Cat is mapped to animals, cats"
    with pytest.raises(ConfigurationError, match=several):
        # It took every cat.
        await cats.delete([0])
    with pytest.raises(ConfigurationError, match=several):
        await cats.delete_where(Cat.kind == "dog")
    with pytest.raises(ConfigurationError, match=several):
        await cats.upsert([{"id": 0, "lives": 8}])
    with pytest.raises(ConfigurationError, match=several):
        await AsyncMatrixRepository(session, Cat).read()
    assert await cats.count() == 3


async def test_searches_that_select_from_a_subquery(rows):
    session, model = rows
    repository, many = AsyncRepository(session, model), AsyncSearchRepository(session, model)
    assert ids(await repository.nearest(QUERY, ROWS)) == SEEN
    assert ids(await repository.nearest(QUERY, len(SEEN), where=[model.id >= 0])) == SEEN
    assert ids(await repository.nearest(QUERY, 10, where={"of": {"$ne": "nobody"}}, max_distance=2.0)) == ids(
        await repository.nearest(QUERY, 10, exact=True)
    )
    assert ids((await many.nearest_many([QUERY], len(SEEN)))[0]) == SEEN
    assert ids((await many.nearest_many([QUERY], ROWS, exact=True))[0]) == SEEN
    assert ids(await many.similar_to(0, ROWS)) == SEEN[1:]
    assert ids(await many.recommend([0, 2], [4], k=ROWS)) == SEEN[3:]
    assert ids(await many.diverse(QUERY, ROWS, fetch_k=ROWS)) == SEEN
    graph = await AsyncAnalysisRepository(session, model).neighbours(3)
    assert (graph.keys, len(graph)) == (SEEN, 3 * len(SEEN))


async def test_a_row_that_the_session_does_not_show_is_no_example(rows):
    session, model = rows
    with pytest.raises(RowNotFound, match=f"has no row {HIDDEN}"):
        await AsyncSearchRepository(session, model).similar_to(HIDDEN)


async def test_vectors_are_replaced_of_rows_that_the_session_shows(rows):
    session, model = rows
    matrices = AsyncMatrixRepository(session, model)
    assert await matrices.update([0, HIDDEN, 2], np.full((3, 3), 5.0)) == 2
    stored = select(Note.__table__.c.Vec).where(Note.__table__.c.Key == HIDDEN)
    assert (await session.scalar(stored)).tolist() != [5, 5, 5]
