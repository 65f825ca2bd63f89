"""Columns that the rows of a load do not bring are set as the ORM would set them."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from sqlalchemy import Text, select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from rowspace import AsyncMatrixRepository, AsyncRepository, Vector


class Base(DeclarativeBase):
    pass


class Staff(Base):
    __tablename__ = "implied_staff"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str | None] = mapped_column("Kind", Text)
    by: Mapped[str | None] = mapped_column(Text, onupdate="the load: 100%")
    embedding: Mapped[Any] = mapped_column(Vector(2))
    __mapper_args__: ClassVar[dict[str, Any]] = {"polymorphic_on": "kind", "polymorphic_identity": "staff"}


class Manager(Staff):
    __mapper_args__: ClassVar[dict[str, Any]] = {"polymorphic_identity": "manager"}


@pytest.fixture(scope="module", autouse=True)
def tables(create_tables):
    create_tables(Base.metadata)


async def test_loaded_rows_are_of_the_class_that_they_were_loaded_as(session):
    managers, staff = AsyncRepository(session, Manager), AsyncRepository(session, Staff)
    await managers.upsert([{"id": 1, "embedding": [1, 0]}])
    await staff.upsert([{"id": 2, "embedding": [0, 1]}, {"id": 1, "embedding": [1, 1]}])
    assert [type(hit.entity) for hit in await staff.nearest([1, 1], 2)] == [Manager, Staff]
    assert [hit.entity.id for hit in await managers.nearest([0, 1])] == [1]


async def test_an_update_sets_what_the_model_says(session):
    rows = [{"id": 1, "embedding": [1, 0]}]
    await AsyncRepository(session, Staff).upsert(rows)
    assert await session.scalar(select(Staff.by)) is None
    await AsyncRepository(session, Staff).upsert(rows)
    assert await session.scalar(select(Staff.by)) == "the load: 100%"
    await session.execute(update(Staff).values(by=None))
    await AsyncMatrixRepository(session, Staff).update([1], [[0, 1]])
    assert await session.scalar(select(Staff.by)) == "the load: 100%"
