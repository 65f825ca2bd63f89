"""The subject of a repository: a model of your own, or the documents of a collection.

A `Subject` provides plain values that the statements need about either, so that each search is written once.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Generic, TypeVar, cast

import numpy as np
from sqlalchemy import ColumnElement, SQLColumnExpression, and_, inspect
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.elements import SQLCoreOperations
from sqlalchemy.types import TypeEngine

from rowspace.distance import Distance, DistanceName
from rowspace.errors import ConfigurationError, InvalidVector
from rowspace.filters import (
    DOCUMENT,
    Filter,
    KeyTest,
    Part,
    Path,
    filter_parts,
    filter_predicate,
    filter_values,
    key_path,
    parameters_of,
    unseen_predicate,
)
from rowspace.models import Collection
from rowspace.repositories.given import at_hand, conditions
from rowspace.repositories.key_values import key_value
from rowspace.repositories.keys import check_comparable, metadata_of
from rowspace.repositories.targets import conditions_of, searches_of, target_of
from rowspace.settings import SearchSettings
from rowspace.statements import documents
from rowspace.statements.grouping import GroupKey
from rowspace.statements.indexing import as_sql
from rowspace.statements.keyed import key_predicate, unseen_key_predicate
from rowspace.statements.search import Target, key_columns
from rowspace.tuning import Tuning, tuned, tuning_of

__all__ = ["Conditions", "Subject", "Where", "rows_of", "subject_of"]

M = TypeVar("M")

#: A metadata filter as a dict, or SQLAlchemy conditions on the model.
Where = Filter | Sequence[SQLColumnExpression[bool | None]]


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions of one statement and the values of their parameters.

    `keep` says that the same condition objects will be used again, so that the statement is worth caching. `few` has
    the conditions in one or two parts, for `nearest_of_few`; it is empty unless an index is known to serve the first
    part. `few_by` is what that index finds the rows by.
    """

    clauses: tuple[ColumnElement[bool], ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    keep: bool = True
    few: tuple[ColumnElement[bool], ...] = ()
    few_by: Hashable = None


_NO_CONDITIONS = Conditions()


@dataclass(frozen=True, slots=True)
class Subject(Generic[M]):
    """A model of your own, or the documents of a collection."""

    target: Target[M]
    #: The method of its vector index, if it is known: `hnsw` or `ivfflat`.
    method: str | None = None
    #: The collection, for documents; `collection` also checks that its attributes can be read.
    held: Collection | None = None
    #: The conditions of its quantized indexes, if all of them are partial.
    partial: tuple[Any, ...] = ()
    #: The tuning of a model's index, after it was looked up; a collection contains its own.
    measured: Tuning | None = None
    #: Whether documents are written and read in bulk through `documents`, because its policies apply to the role.
    through: bool = False

    @property
    def collection(self) -> Collection | None:
        """The collection, for documents.

        Raises:
            ConfigurationError: its async session has expired it.
        """
        return None if self.held is None else at_hand(self.held)

    @property
    def partition(self) -> str | None:
        """The table that bulk writes and reads go to, if it is not the model's own."""
        return None if self.collection is None or self.through else self.collection.partition

    def conditions(self, where: Where | None) -> Conditions:
        """Return the conditions of `where`: a mapping is a metadata filter, a sequence holds SQLAlchemy conditions.

        Raises:
            InvalidFilter: the metadata filter is malformed.
            ConfigurationError: a metadata filter on a model without a JSONB attribute `meta`, or a single condition
                instead of a sequence.
        """
        if where is None:
            return _NO_CONDITIONS
        if isinstance(where, Mapping):
            return self._filtered(where)
        clauses = conditions(where)
        return Conditions(clauses, keep=not clauses)

    def _filtered(self, where: Mapping[str, Any]) -> Conditions:
        # The planner compares the condition of a partial index with the literal text of the statement.
        parts = filter_parts(where, self.indexed_paths, whole=bool(self.partial))
        if not parts:
            return Conditions()
        clauses, few, by = _predicates(self._metadata(), tuple(parts))
        values = parameters_of(parts)
        if self.held is None or not few:
            return Conditions(clauses, values)
        return Conditions(clauses, values, few=few, few_by=(by, *(parts[part] for part in by)))

    @property
    def indexed_paths(self) -> tuple[Path, ...]:
        """The metadata keys with their own index."""
        collection = self.collection
        return () if collection is None or not collection.indexed_keys else _paths(tuple(collection.indexed_keys))

    def target_under(self, where: Where | None) -> Target[M]:
        """Return the target of a search under conditions: with full numbers if the quantized index cannot serve it.

        A partial index serves only searches that contain its condition. Other searches compare every row that matches,
        and a coarse order would lose rows for nothing.
        """
        if self.target.quantize is None or not self.partial or any(_carries(where, one) for one in self.partial):
            return self.target
        return replace(self.target, quantize=None)

    def settings(self, given: SearchSettings | None) -> SearchSettings:
        """Return the settings of a search, completed by the tuning of its index.

        Raises:
            InvalidSetting: a recall is requested, and the index was not tuned or did not reach it.
        """
        collection = self.collection
        return tuned(given, self.measured if collection is None else tuning_of(collection.index))

    def load_options(self) -> dict[str, Any]:
        """Return the keyword arguments for `plan_load`: for documents, the partition and its constants."""
        if self.collection is None:
            return {}
        return {
            "partition": self.partition,
            "constants": dict(self.target.scope),
            "dimension": self.collection.dimension,
        }

    @property
    def name(self) -> str:
        """The name to use in messages."""
        return self.target.model.__name__ if self.collection is None else f"the collection {self.collection.name!r}"

    def vectors(self, values: Any) -> list[Any]:
        """Return vectors, checked and converted to the values of the column's type.

        Raises:
            InvalidVector: one is not a vector of the column's dimension; the message names its index.
        """
        if not isinstance(values, Iterable):
            message = f"Expected vectors as an array of shape (q, n) or as a list, got {values!r:.60}."
            raise InvalidVector(message)
        checked = []
        for index, value in enumerate(values):
            try:
                checked.append(self.target.type.coerce(value))
            except InvalidVector as error:
                message = f"Vector {index}: {error}"
                located = type(error)(message).at("queries", index)
                raise located from None
        return checked

    def key(self, key: Any) -> tuple[Any, ...]:
        """Return a primary key as a tuple: of one value for the id of a document.

        Raises:
            ConfigurationError, InvalidText: the number of values differs from that of key columns, or one has another
                type.
        """
        parts, columns = key if isinstance(key, tuple | list) else (key,), key_columns(self.target)
        if len(parts) != len(columns):
            message = f"The key of {self.target.model.__name__} is ({', '.join(columns)}), got {key!r}."
            raise ConfigurationError(message)
        # Not every driver accepts NumPy's numbers.
        plain = (part.item() if isinstance(part, np.generic) else part for part in parts)
        return tuple(map(key_value, columns.values(), plain))

    def group_key(self, by: Any) -> GroupKey:
        """Return the key to group hits by: an attribute, an expression, or for a string the path in the metadata.

        Raises:
            InvalidFilter: the string is not a dotted path.
            ConfigurationError: it is none of these; it is a string, and the model has no JSONB attribute `meta`; it is
                an attribute of another model, which would be a cross join; or it is of type JSON.
        """
        if isinstance(by, str):
            return GroupKey.of_metadata(self._metadata(), key_path(by))
        if isinstance(by, InstrumentedAttribute) and not _is_of(by, self.target.model):
            message = f"Expected an attribute of {self.target.model.__name__} to group hits by, got {by}."
            raise ConfigurationError(message)
        type_ = getattr(by, "type", None)
        # A relationship, a composite or an association proxy has none.
        if isinstance(by, SQLCoreOperations) and isinstance(type_, TypeEngine):
            check_comparable(by, type_)
            return GroupKey(cast("ColumnElement[Any]", by))
        message = (
            f"Expected an attribute, such as Article.section, or a metadata path to group hits by, got {by!s:.80}."
        )
        raise ConfigurationError(message)

    def _metadata(self) -> ColumnElement[Any]:
        model: Any = self.target.model
        metadata = metadata_of(model)
        if metadata is None:
            message = (
                f"A metadata filter needs a JSONB attribute `meta`, which {model.__name__} does not have. Pass "
                "conditions on its columns; `rowspace.filters.compile_filter(filter, column)` makes one of a filter."
            )
            raise ConfigurationError(message)
        return metadata


def subject_of(
    over: type[Any] | Collection, column: str | None = None, distance: Distance | DistanceName | None = None
) -> Subject[Any]:
    """Return the subject of a repository.

    Args:
        over: a declarative class with a vector column, or a collection.
        column: the vector attribute, for a model with several.
        distance: what searches order by, for a model; by default the distance of the column's vector index, else
            cosine.

    Raises:
        ConfigurationError: the model has no such vector column, or a column or distance is given for a collection.
    """
    if not isinstance(over, Collection):
        target = target_of(over, column, distance)
        return Subject(target, partial=conditions_of(target))
    at_hand(over)
    if column is not None or distance is not None:
        message = f"The collection {over.name!r} has one embedding and one distance. Omit column and distance."
        raise ConfigurationError(message)
    partial = (over.index["where"],) if over.index.get("where") else ()
    return Subject(documents.target_of(over), over.index.get("method"), over, partial=partial)


def rows_of(over: type[Any] | Collection, column: str | None) -> Subject[Any]:
    """Return the subject of a repository that only reads and writes rows, which works with any distance of an index.

    Raises:
        ConfigurationError: as `subject_of`.
    """
    searches = [] if isinstance(over, Collection) else searches_of(over)
    return subject_of(over, column, next((distance for name, distance in searches if column in {None, name}), None))


_paths = lru_cache(512)(lambda keys: tuple(map(key_path, keys)))


@lru_cache(512)
def _predicates(
    metadata: ColumnElement[Any], parts: tuple[Part, ...]
) -> tuple[tuple[ColumnElement[bool], ...], tuple[ColumnElement[bool], ...], tuple[Part, ...]]:
    """Return the conditions of a filter; its one or two parts, if an index serves the first; and the values of that."""
    seen = {part: _predicate(metadata, part) for part in parts}
    equal = tuple(part for part in parts if isinstance(part, KeyTest) and part.comparison == "==")
    found, by = [unseen_key_predicate(metadata, test) for test in equal], cast("tuple[Part, ...]", equal)
    if not equal and DOCUMENT in parts:
        found, by = [unseen_predicate(metadata)], (DOCUMENT,)
    rest = [predicate for part, predicate in seen.items() if part not in by]
    few = (and_(*found), *([and_(*rest)] if rest else [])) if found else ()
    return (and_(*seen.values()),), few, by


def _predicate(metadata: ColumnElement[Any], part: Part) -> ColumnElement[bool]:
    return key_predicate(metadata, part) if isinstance(part, KeyTest) else filter_predicate(metadata, (part,))


def _is_of(attribute: InstrumentedAttribute[Any], model: type[Any]) -> bool:
    """Return whether an attribute belongs to the tables of a model; it may be that of a subclass."""
    columns, mapper = getattr(attribute.property, "columns", []), inspect(model)
    # A model can be mapped to a subquery, which is not one of the tables within it.
    return {getattr(column, "table", None) for column in columns} <= {*mapper.tables, mapper.local_table, None}


def _carries(where: Where | None, condition: Any) -> bool:
    """Return whether the conditions of a search literally contain the condition of an index."""
    if isinstance(condition, Mapping):
        # As the planner compares them: it does not look into a document. By text, because 1 equals True in Python.
        return isinstance(where, Mapping) and filter_values(condition).items() <= filter_values(where).items()
    return not isinstance(where, Mapping) and as_sql(condition) in map(as_sql, where or ())
