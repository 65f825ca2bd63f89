"""Which sessions and models have nothing that the ORM is needed for."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from sqlalchemy import ForeignKey, event, func
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    column_property,
    mapped_column,
    relationship,
    scoped_session,
    sessionmaker,
)

from rowspace.repositories.entities import _is_plain, plain_session
from rowspace.repositories.searches import plan_search
from rowspace.repositories.subjects import Subject
from rowspace.repositories.targets import target_of
from rowspace.types import Vector


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    vector: Mapped[Any] = mapped_column(Vector(2))
    drafts: Mapped[list[Draft]] = relationship(back_populates="note")


class Draft(Base):
    """Each brings the note that it belongs to."""

    __tablename__ = "drafts"
    id: Mapped[int] = mapped_column(primary_key=True)
    note_id: Mapped[int] = mapped_column(ForeignKey("notes.id"))
    vector: Mapped[Any] = mapped_column(Vector(2))
    note: Mapped[Note] = relationship(lazy="joined", back_populates="drafts")


class Counted(Base):
    __tablename__ = "counted"
    id: Mapped[int] = mapped_column(primary_key=True)
    vector: Mapped[Any] = mapped_column(Vector(2))
    size: Mapped[int] = column_property(func.vector_dims(vector.column))


class Kind(Base):
    __tablename__ = "kinds"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    vector: Mapped[Any] = mapped_column(Vector(2))
    __mapper_args__: ClassVar[dict[str, Any]] = {"polymorphic_on": "kind", "polymorphic_identity": "kind"}


class Keyless(Base):
    """Its key comes later than its rows."""

    __tablename__ = "keyless"
    id: Mapped[int] = mapped_column(primary_key=True, deferred=True)
    vector: Mapped[Any] = mapped_column(Vector(2))


class Special(Kind):
    __mapper_args__: ClassVar[dict[str, Any]] = {"polymorphic_identity": "special"}


class OwnSession(Session):
    def execute(self, *arguments: Any, **options: Any) -> Any:
        return super().execute(*arguments, **options)


class Proxy:
    """Stands for a session that is looked up when it is asked for something."""

    def __getattr__(self, name: str) -> Any:
        return getattr(Session(), name)


def search(model: Any = Note, where: Any = None) -> Any:
    return plan_search(Subject(target_of(model, None, None)), 3, where, {}, query=[1, 2])


def test_a_plain_model_in_a_plain_session():
    session = Session()
    assert plain_session(session, search()) is session


def test_an_async_session_has_one_within():
    session = AsyncSession()
    assert plain_session(session, search()) is session.sync_session


def test_a_model_that_is_a_table():
    assert _is_plain(search(Note).target)


@pytest.mark.parametrize("model", [Draft, Counted, Keyless, Kind, Special])
def test_models_that_are_more_than_a_table(model):
    assert not _is_plain(search(model).target)


def test_conditions_that_will_not_come_again():
    assert plain_session(Session(), search(where=[Note.id > 3])) is None


@pytest.mark.parametrize("session", [OwnSession(), scoped_session(sessionmaker()), Proxy()])
def test_sessions_with_an_execute_of_their_own(session):
    assert plain_session(session, search()) is None


@pytest.mark.parametrize("name", ["do_orm_execute", "loaded_as_persistent"])
def test_sessions_that_somebody_listens_to(name):
    session = Session()
    event.listen(session, name, lambda *_: None)
    assert plain_session(session, search()) is None


def test_something_to_flush():
    session = Session()
    session.add(Note(id=1))
    assert plain_session(session, search()) is None
    with session.no_autoflush:
        assert plain_session(session, search()) is session
