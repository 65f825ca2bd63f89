from __future__ import annotations

import pytest
from sqlalchemy import true
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from rowspace.errors import ConfigurationError
from rowspace.statements import models


class Base(DeclarativeBase):
    pass


class One(Base):
    __tablename__ = "one"
    id: Mapped[int] = mapped_column(primary_key=True)


class Two(Base):
    __tablename__ = "two"
    tenant: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column("n", primary_key=True)


def sql(statement):
    return " ".join(str(statement.compile(dialect=psycopg.dialect())).split())


def test_one_column_and_several():
    assert "WHERE one.id IN (__[POSTCOMPILE_id_1])" in sql(models.by_keys(One, [(1,), (2,)]))
    assert "WHERE (two.tenant, two.n) IN (__[POSTCOMPILE_param_1])" in sql(models.delete_keys(Two, [("a", 1)]))


def test_deleting_everything_has_to_be_said():
    with pytest.raises(ConfigurationError, match=r"delete_where of One needs at least one condition\. .*pass true\(\)"):
        models.delete_where(One, [])
    assert sql(models.delete_where(One, [true()])) == "DELETE FROM one WHERE true"


def test_counting():
    assert sql(models.count(One)) == "SELECT count(*) AS count_1 FROM one"
    assert sql(models.count(One, [One.id > 1])).endswith("FROM one WHERE one.id > %(id_1)s::INTEGER")
