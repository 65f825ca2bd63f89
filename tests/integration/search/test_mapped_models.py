"""Searches over models that are more than a table: with a parent, one of several in a table, seen by one tenant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import pytest
from sqlalchemy import ForeignKey, event, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, column_property, mapped_column, with_loader_criteria

from rowspace import (
    HNSW,
    BrowseRepository,
    Database,
    Doctor,
    IndexAdvisor,
    MatrixRepository,
    Repository,
    SearchRepository,
    SearchSettings,
    Vector,
)
from rowspace.errors import ConfigurationError

ROWS, DIMENSION = 300, 4


class Base(DeclarativeBase):
    pass


class Media(Base):
    __tablename__ = "media"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    tenant: Mapped[int]
    __mapper_args__: ClassVar[dict[str, Any]] = {"polymorphic_on": "kind", "polymorphic_identity": "media"}


class Picture(Media):
    """A table of its own, joined to that of its parent."""

    __tablename__ = "pictures"
    __table_args__ = (HNSW("l2").index("Vektor 100%", name="ix_pictures"),)
    id: Mapped[int] = mapped_column(ForeignKey("media.id"), primary_key=True)
    width: Mapped[int]
    vector: Mapped[Any] = mapped_column("Vektor 100%", Vector(DIMENSION), deferred=True)
    __mapper_args__: ClassVar[dict[str, Any]] = {"polymorphic_identity": "picture"}


class Note(Base):
    """The parent of several in one table, with a column that is computed."""

    __tablename__ = "notes"
    __table_args__ = (HNSW("l2", quantize="halfvec").index("vector", name="ix_notes"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    tenant: Mapped[int]
    width: Mapped[int]
    vector: Mapped[Any] = mapped_column(Vector(DIMENSION))
    dimensions: Mapped[int] = column_property(func.vector_dims(vector.column))
    __mapper_args__: ClassVar[dict[str, Any]] = {"polymorphic_on": "kind", "polymorphic_identity": "note"}


class Picnote(Note):
    __mapper_args__: ClassVar[dict[str, Any]] = {"polymorphic_identity": "picture"}


class Framed(Base):
    """A vector that is stored, one that is computed of it, and a number that is computed."""

    __tablename__ = "framed"
    id: Mapped[int] = mapped_column(primary_key=True)
    width: Mapped[int] = mapped_column()
    stored: Mapped[Any] = mapped_column(Vector(DIMENSION), nullable=True)
    vector: Mapped[Any] = column_property(func.coalesce(stored.column, type_=Vector(DIMENSION)), deferred=True)
    half: Mapped[int] = column_property(width.column * 2)


_both = Framed.__table__.join(Media.__table__, Framed.__table__.c.id == Media.__table__.c.id)


class Joined(Base):
    __table__ = _both
    id = column_property(Framed.__table__.c.id, Media.__table__.c.id)
    __mapper_args__: ClassVar[dict[str, Any]] = {"primary_key": [Framed.__table__.c.id]}


_some = (
    select(
        Framed.__table__.c.id,
        Framed.__table__.c.width,
        func.coalesce(Framed.__table__.c.stored, type_=Vector(DIMENSION)).label("vector"),
    )
    .where(Framed.__table__.c.width < 4)
    .subquery()
)


class Some(Base):
    __table__ = _some
    __mapper_args__: ClassVar[dict[str, Any]] = {"primary_key": [_some.c.id]}


@pytest.fixture(scope="module")
def vectors() -> Any:
    return np.random.default_rng(5).normal(size=(ROWS, DIMENSION)).astype(np.float32)


@pytest.fixture(scope="module")
def database(new_module_database, vectors) -> Iterator[Database]:
    with Database.open(new_module_database()) as opened:
        with opened.engine.begin() as connection:
            Base.metadata.create_all(connection)
        with opened.begin() as session:
            for number, vector in enumerate(vectors):
                same = {"id": number, "tenant": number % 3, "width": number % 5, "vector": vector}
                session.add(Picture(**same))
                session.add((Picnote if number % 2 else Note)(**same))
                session.add(Framed(id=number, width=number % 5, stored=vector if number % 10 else None))
        yield opened


@pytest.fixture
def session(database) -> Iterator[Session]:
    with database.session() as opened:
        yield opened


@pytest.fixture(params=[Picture, Note, Picnote])
def model(request) -> type[Any]:
    return request.param


def expected(vectors, query, model, among=lambda _: True) -> list[int]:
    order = np.argsort(np.linalg.norm(vectors - query, axis=1), kind="stable")
    return [int(row) for row in order if (model is not Picnote or row % 2) and among(row)]


def ids(hits) -> list[int]:
    return [hit.entity.id for hit in hits]


WIDE = {"settings": SearchSettings(ef_search=400)}


def test_each_search_finds_the_rows_of_its_model(session, vectors, model):
    one, many = Repository(session, model), SearchRepository(session, model)
    for query in vectors[:5]:
        all_of_them = expected(vectors, query, model)
        assert ids(one.nearest(query, 7, **WIDE)) == all_of_them[:7]
        assert ids(one.nearest(query, 60, **WIDE)) == all_of_them[:60]
        wide = expected(vectors, query, model, lambda row: row % 5 == 1)
        assert ids(one.nearest(query, 7, where=[model.width == 1], **WIDE)) == wide[:7]
        assert ids(many.nearest_many([query], 7, where=[model.width == 1], **WIDE)[0]) == wide[:7]
        assert ids(many.nearest_many([query], 60, **WIDE)[0]) == all_of_them[:60]
        first = all_of_them[0]
        like = expected(vectors, vectors[first], model, lambda row: row % 5 == 1 and row != first)  # noqa: B023
        assert ids(many.similar_to(first, 7, where=[model.width == 1], **WIDE)) == like[:7]


def test_entities_are_whole(session, vectors, model):
    (hit,) = Repository(session, model).nearest(vectors[1], 1, where=[model.width == 1], with_embedding=True)
    assert type(hit.entity) is (Picnote if model is not Picture else Picture)
    assert (hit.entity.id, hit.entity.kind, hit.entity.tenant, hit.entity.width) == (1, "picture", 1, 1)
    np.testing.assert_array_equal(hit.entity.vector, vectors[1])
    assert model is Picture or hit.entity.dimensions == DIMENSION
    assert session.scalar(select(func.count()).select_from(model)) == (ROWS // 2 if model is Picnote else ROWS)


def test_a_tenant_sees_its_own_rows_alone_and_all_of_them(database, vectors, model):
    base = Note if issubclass(model, Note) else Media
    with database.session() as session:

        @event.listens_for(session, "do_orm_execute")
        def separate(state):
            if state.is_select and not state.is_column_load:
                state.statement = state.statement.options(
                    with_loader_criteria(base, base.tenant == 2, include_aliases=True)
                )

        one, many = Repository(session, model), SearchRepository(session, model)
        for query in vectors[:5]:
            own = expected(vectors, query, model, lambda row: row % 3 == 2)
            assert ids(one.nearest(query, 20, **WIDE)) == own[:20]
            assert ids(one.nearest(query, 45, exact=True)) == own[:45]
            wide = [row for row in own if row % 5 == 1]
            assert ids(one.nearest(query, 8, where=[model.width == 1], **WIDE)) == wide[:8]
            assert ids(many.nearest_many([query], 8, where=[model.width == 1], **WIDE)[0]) == wide[:8]
            assert ids(many.nearest_many([query], 20, **WIDE)[0]) == own[:20]
            assert ids(many.diverse(query, 8, lambda_mult=1.0, **WIDE)) == own[:8]
            groups = many.grouped(query, model.width, groups=5, per_group=2, **WIDE)
            assert {hit.entity.tenant for group in groups for hit in group.hits} == {2}
            assert ids(group.hits[0] for group in groups) == [
                next(row for row in own if row % 5 == width) for width in dict.fromkeys(row % 5 for row in own)
            ]


@pytest.mark.parametrize(("model", "widest"), [(Framed, 4), (Some, 3)])
def test_a_vector_may_be_computed(session, vectors, model, widest):
    options = {"column": "vector", "distance": "l2"}
    one, many = Repository(session, model, **options), SearchRepository(session, model, **options)
    query = vectors[7]
    nearest = expected(vectors, query, model, lambda row: row % 10 and row % 5 <= widest)
    assert ids(one.nearest(query, 7)) == nearest[:7]
    assert ids(one.nearest(query, ROWS)) == nearest
    assert ids(one.nearest(query, 7, where=[model.width == 1])) == [row for row in nearest if row % 5 == 1][:7]
    assert [ids(hits) for hits in many.nearest_many([query], 7)] == [nearest[:7]]
    assert ids(many.similar_to(7, 7)) == nearest[1:8]
    assert [group.key for group in many.grouped(query, model.width, groups=2)] == list(
        dict.fromkeys(row % 5 for row in nearest)
    )[:2]
    (hit,) = one.nearest(query, 1, with_embedding=True)
    np.testing.assert_array_equal(hit.entity.vector, query)
    with pytest.raises(ConfigurationError, match=r"vector is computed\. Fetch it by select"):
        MatrixRepository(session, model, column="vector").read()


def test_a_listing_in_the_order_of_a_computed_column(session):
    browse = BrowseRepository(session, Framed, column="stored")
    found, cursor = [], ""
    while cursor is not None:
        page = browse.scroll(70, order_by=Framed.half, descending=True, cursor=cursor or None)
        found += [(item.half, item.id) for item in page.items]
        cursor = page.cursor
    assert found == sorted(((number % 5 * 2, number) for number in range(ROWS)), reverse=True)


def test_pages_by_a_column_whose_type_is_not_known_are_refused_at_the_first(session):
    browse = BrowseRepository(session, Note)
    with pytest.raises(ConfigurationError, match=r"does not know the type of Note\.dimensions"):
        browse.scroll(1, order_by=Note.dimensions)
    assert {note.dimensions for note in browse.stream(order_by=Note.dimensions)} == {DIMENSION}


def test_what_is_mapped_to_a_join_or_a_subquery_is_looked_after(session):
    checked = Doctor(session, [Joined, Some]).check(recall=0.9, queries=3)
    assert [finding for finding in checked if finding.check != "random-page-cost"] == []


def test_what_is_mapped_to_a_subquery_is_not_said_to_be_of_one_table(session):
    with pytest.raises(ConfigurationError, match="needs a model of a single table; Some is mapped to a subquery"):
        Repository(session, Some).upsert([{"id": 1, "width": 1}])


def test_an_index_within_a_subquery_is_known(session, vectors):
    notes = select(Note.__table__.c.id, Note.__table__.c.vector).subquery()

    class Some(DeclarativeBase):
        pass

    class Noted(Some):
        __table__ = notes
        __mapper_args__: ClassVar[dict[str, Any]] = {"primary_key": [notes.c.id]}

    (advice,) = IndexAdvisor(session, Noted, distance="cosine").explain(vectors[0]).advice
    assert advice.startswith("The index ix_notes has halfvec_l2_ops")
