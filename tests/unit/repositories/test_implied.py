"""What columns are set to that a load's rows do not bring."""

from __future__ import annotations

import datetime as dt
from typing import Any, ClassVar

import pytest
from sqlalchemy import JSON, Column, DateTime, Integer, MetaData, Table, Text, func, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from rowspace.errors import ConfigurationError
from rowspace.repositories.implied import inserted_of, updated_of


class Base(DeclarativeBase):
    pass


class Staff(Base):
    __tablename__ = "staff"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column("Kind", Text)
    __mapper_args__: ClassVar[dict[str, Any]] = {"polymorphic_on": "kind", "polymorphic_identity": "one of %s 'all'"}


class Manager(Staff):
    __mapper_args__: ClassVar[dict[str, Any]] = {"polymorphic_identity": "manager"}


class Nobody(Staff):
    __mapper_args__: ClassVar[dict[str, Any]] = {"polymorphic_abstract": True}


class Plain(Base):
    __tablename__ = "plain"
    id: Mapped[int] = mapped_column(primary_key=True)


def test_a_new_row_is_of_its_class():
    assert inserted_of(Manager, {"id"}) == (("Kind", "'manager'"),)
    assert inserted_of(Staff, {"id"}) == (("Kind", "'one of %s ''all'''"),)
    assert inserted_of(Manager, {"id", "Kind"}) == ()
    assert inserted_of(Nobody, {"id"}) == inserted_of(Plain, {"id"}) == ()


def updated(type_, onupdate, loaded=()):
    return updated_of(Table("notes", MetaData(), Column("id", Integer), Column("it", type_, onupdate=onupdate)), loaded)


@pytest.mark.parametrize(
    ("type_", "onupdate", "sql"),
    [
        (DateTime, func.now(), "now()"),
        (DateTime, lambda: dt.datetime.now(dt.UTC), "now()"),
        (Text, "it's 100%", "'it''s 100%'"),
        (Integer, 7, "7"),
        (Text, func.upper("me"), "upper('me')"),
        (Text, text("current_user"), "current_user"),
    ],
)
def test_a_row_that_is_there_is_set_to_what_onupdate_says(type_, onupdate, sql):
    assert updated(type_, onupdate) == (("it", sql),)
    assert updated(type_, onupdate, {"it"}) == ()


@pytest.mark.parametrize(
    ("type_", "onupdate"),
    [(Integer, lambda: 7), (Text, str), (Integer, Plain.id + 1), (JSON(), {"a": object()})],
)
def test_what_is_said_in_python_or_of_a_column_is_refused(type_, onupdate):
    with pytest.raises(ConfigurationError, match=r"notes\.it has an onupdate .* let the rows bring 'it'"):
        updated(type_, onupdate)
