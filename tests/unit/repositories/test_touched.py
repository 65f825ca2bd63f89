from __future__ import annotations

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, func, literal
from sqlalchemy.orm import registry

from rowspace.errors import ConfigurationError
from rowspace.repositories.touched import new_by_sql, touched, version


def as_value(column: Column, value: object) -> str:
    message = f"{column} has no value {value!r}"
    raise AssertionError(message)


def test_an_expression_comes_as_it_was_written() -> None:
    default, onupdate = func.concat("a\\b", literal("50%:x")), literal("a\\b%")
    columns = (Column("id", Integer, primary_key=True), Column("path", Text, default=default, onupdate=onupdate))
    table = Table("files", MetaData(), *columns)
    assert [*new_by_sql(table, {"id"}, as_value, {})] == [("path", "concat('a\\b', '50%:x')")]
    assert [*touched(table, {"id"}, as_value, {})] == [("path", "'a\\b%'")]


def versioned(type_, **arguments):
    table = Table("the files", MetaData(), Column("id", Integer, primary_key=True), Column("v", type_))
    model = type("File", (), {})
    registry().map_imperatively(model, table, version_id_col=table.c.v, **arguments)
    return model


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (versioned(Integer), [("v", "1", '"the files".v + 1')]),
        # A number changes in any case.
        (versioned(Integer, version_id_generator=lambda _version: 5), [("v", "5", '"the files".v + 1')]),
        (versioned(Text, version_id_generator=lambda version: f"after {version}"), [("v", *["'after None'"] * 2)]),
        # The server's business, such as a trigger's.
        (versioned(Integer, version_id_generator=False), []),
    ],
)
def test_a_version_is_made_and_counted(model, expected):
    assert [*version(model, {"id"}, lambda _column, value: repr(value))] == expected
    assert [*version(model, {"id", "v"}, as_value)] == []


def test_a_generator_that_makes_no_first_version_is_named():
    model = versioned(Integer, version_id_generator=lambda version: version + 1)
    with pytest.raises(
        ConfigurationError, match="version_id_generator of File fails for None, the version of a new row: unsupp"
    ):
        [*version(model, {"id"}, as_value)]
