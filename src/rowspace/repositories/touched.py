"""What SQLAlchemy sets by itself, for statements that are written as text.

`default` and `onupdate` of a column, the class of a new row, and the version of each.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any

from sqlalchemy import Column, Integer, Table, inspect

from rowspace.errors import ConfigurationError
from rowspace.statements.identifiers import DIALECT, Schemas, quote

__all__ = ["discriminator", "new_by_function", "new_by_sql", "touched", "version"]

#: Makes SQL text of a value of a column.
Literal = Callable[[Column[Any], Any], str]


def discriminator(model: type[Any], loaded: Collection[str], literal: Literal) -> Iterator[tuple[str, str]]:
    """Yield the column that tells the classes of a table apart, unless it is loaded, and the SQL of this class's."""
    mapper = inspect(model)
    column = mapper.polymorphic_on
    if isinstance(column, Column) and column.name not in loaded and mapper.polymorphic_identity is not None:
        yield column.name, literal(column, mapper.polymorphic_identity)


def version(model: type[Any], loaded: Collection[str], literal: Literal) -> Iterator[tuple[str, str, str]]:
    """Yield the `version_id_col` of a model, unless it is loaded, and the SQL of a new row's and of an updated one's.

    A number is counted up; of another kind all rows of a load get the same, which none had before. What the server
    makes is left to it.

    Raises:
        ConfigurationError: the `version_id_generator` makes no first version.
    """
    mapper = inspect(model)
    column, generator = mapper.version_id_col, mapper.version_id_generator
    if column is None or generator is False or column.name in loaded:
        return
    try:
        first = literal(column, generator(None))
    except Exception as error:
        message = f"The version_id_generator of {model.__name__} makes no first version of None: {error}."
        raise ConfigurationError(message) from error
    is_number = isinstance(column.type, Integer)
    yield column.name, first, f"{quote(column.table.name)}.{quote(column.name)} + 1" if is_number else first


def touched(table: Table, loaded: Collection[str], literal: Literal, schemas: Schemas) -> Iterator[tuple[str, str]]:
    """Yield the columns of a table, without those that are loaded, that an update sets by itself, and to what, as SQL.

    Raises:
        ConfigurationError: it is a function that fails outside of a statement of SQLAlchemy's.
    """
    for column in table.columns:
        if column.onupdate is not None and column.name not in loaded:
            yield column.name, _expression(column, column.onupdate, literal, schemas)


def new_by_sql(table: Table, loaded: Collection[str], literal: Literal, schemas: Schemas) -> Iterator[tuple[str, str]]:
    """Yield the columns with a default that is the same SQL for each new row, and that SQL."""
    for column in table.columns:
        if column.name not in loaded and column.default is not None and not column.default.is_callable:
            yield column.name, _expression(column, column.default, literal, schemas)


def new_by_function(table: Table, loaded: Collection[str]) -> Iterator[tuple[Column[Any], Callable[[], Any]]]:
    """Yield the columns with a default that is a function, and what to call for each new row.

    That raises ConfigurationError where the function needs a statement of SQLAlchemy's.
    """
    for column in table.columns:
        if column.name not in loaded and column.default is not None and column.default.is_callable:
            yield column, partial(_value, column, column.default)


def _expression(column: Column[Any], default: Any, literal: Literal, schemas: Schemas) -> str:
    if default.is_clause_element or default.is_sequence:
        expression = default.next_value() if default.is_sequence else default.arg
        # A sequence is in the schema that its tables are in.
        made = expression.compile(
            dialect=DIALECT,
            schema_translate_map=dict(schemas) or None,
            render_schema_translate=bool(schemas),
            compile_kwargs={"literal_binds": True},
        )
        return str(made)
    return literal(column, _value(column, default))


def _value(column: Column[Any], default: Any) -> Any:
    if not default.is_callable:
        return default.arg
    try:
        # SQLAlchemy has made it take the context of a statement, of which there is none.
        return default.arg(None)
    except Exception as error:
        name = "onupdate" if default.for_update else "default"
        message = (
            f"The {name} of {column} needs a statement of SQLAlchemy's: {error}. "
            "Bring the attribute in the rows of the load, or take the session's own statements."
        )
        raise ConfigurationError(message) from error
