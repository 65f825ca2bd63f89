"""The steps of an index builder, derived from the declared and the existing indexes. They are executed elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rowspace.errors import ConfigurationError
from rowspace.indexes import from_dict
from rowspace.models import Collection, Document
from rowspace.repositories.given import at_hand
from rowspace.repositories.naming import check_key
from rowspace.repositories.schemas import partition_of, schema_in
from rowspace.repositories.targets import mapper_of, table_of_model
from rowspace.statements.browse import Key
from rowspace.statements.catalog import IndexFact
from rowspace.statements.health import Asked
from rowspace.statements.identifiers import Schemas
from rowspace.statements.indexing import COPY, OF_KEY, VECTOR_METHODS, PlannedIndex, clustered, planned
from rowspace.types import vector_type_of

__all__ = [
    "Decide",
    "Step",
    "asked_for",
    "check_alone",
    "clustering",
    "creation",
    "key_removal",
    "planned_for",
    "planned_key_of",
    "removal",
    "renewal",
    "repair",
]


@dataclass(frozen=True, slots=True)
class Step:
    """One statement, which cannot run inside a transaction.

    Args:
        index: the index.
        statement: its SQL.
        builds: whether it builds an index, and so reports progress and may leave it INVALID.
    """

    index: str
    statement: str
    builds: bool = True


#: Returns the steps for the declared and the existing indexes.
Decide = Callable[[Sequence[PlannedIndex], Sequence[IndexFact]], Sequence[Step]]


def planned_for(over: type[Any] | Collection, schemas: Schemas) -> list[PlannedIndex]:
    """Return the indexes that a collection or a model declares.

    Raises:
        ConfigurationError: a model without a vector index, or with one that has no name.
    """
    if isinstance(over, Collection):
        partition = partition_of(at_hand(over), schemas)
        return partition.indexes(from_dict(over.index), over.language, over.indexed_keys or ())
    found = _declared_by(over, schemas)
    if not found:
        message = f'{over.__name__} declares no vector index. Add HNSW().index("...") to its __table_args__.'
        raise ConfigurationError(message)
    return found


def planned_key_of(over: type[Any] | Collection, key: str, schemas: Schemas) -> PlannedIndex:
    """Return the index on a metadata key of a collection.

    Raises:
        ConfigurationError: it is a model, or the key is not a text.
        InvalidFilter: the key is malformed.
    """
    if not isinstance(over, Collection):
        message = f"{over.__name__} declares its own indexes. Add an index on the key to its __table_args__."
        raise ConfigurationError(message)
    check_key(key)
    return partition_of(at_hand(over), schemas).key_index(key)


def creation(wanted: Sequence[PlannedIndex], facts: Sequence[IndexFact], *, concurrently: bool) -> list[Step]:
    """Return the steps that create missing and INVALID indexes.

    Raises:
        ConfigurationError: an index of that name differs from the declared one, or is being built.
    """
    there = {fact.name: fact for fact in facts}
    steps = _leftovers(wanted, facts)
    for plan in wanted:
        fact = there.get(plan.name)
        if fact is not None and fact.state == "valid":
            _check_same(plan, fact)
            continue
        steps += _renewed(plan, fact, concurrently=concurrently)
    return _analyzed(steps, wanted)


def repair(wanted: Sequence[PlannedIndex], facts: Sequence[IndexFact], *, concurrently: bool) -> list[Step]:
    """Return the steps that rebuild INVALID indexes, and drop those that are not declared."""
    broken = {fact.name: fact for fact in facts if fact.state == "invalid"}
    steps = _leftovers(wanted, facts)
    for plan in wanted:
        if plan.name in broken:
            steps += _renewed(plan, broken.pop(plan.name), concurrently=concurrently)
    # An index on a key that an interrupted build left: a collection declares it only when it is complete.
    steps += [_found_dropped(fact, concurrently=concurrently) for name, fact in broken.items() if OF_KEY.match(name)]
    return _analyzed(steps, wanted)


def renewal(
    wanted: Sequence[PlannedIndex], facts: Sequence[IndexFact], names: Sequence[str], *, concurrently: bool
) -> list[Step]:
    """Return the steps that rebuild existing indexes.

    Raises:
        ConfigurationError: there is no such index.
    """
    there = {fact.name for fact in facts}
    chosen = _chosen(wanted, names)
    missing = [plan.name for plan in chosen if plan.name not in there]
    if missing:
        message = f"There is no index {', '.join(missing)} to rebuild. Create it by create() or `rowspace index build`."
        raise ConfigurationError(message)
    return _leftovers(wanted, facts) + [Step(plan.name, plan.reindex(concurrently=concurrently)) for plan in chosen]


def removal(
    wanted: Sequence[PlannedIndex], _: Sequence[IndexFact], names: Sequence[str], *, concurrently: bool
) -> list[Step]:
    """Return the steps that drop indexes if they exist.

    Raises:
        ConfigurationError: a name that is not declared.
    """
    return [_dropped(plan, concurrently=concurrently) for plan in _chosen(wanted, names)]


def key_removal(
    _: Sequence[PlannedIndex], facts: Sequence[IndexFact], plan: PlannedIndex, *, wanted: bool, concurrently: bool
) -> list[Step]:
    """Return the step that drops the index on a key, which may exist even if it is no longer declared.

    Raises:
        ConfigurationError: it is not declared and does not exist.
    """
    if not wanted and plan.name not in {fact.name for fact in facts}:
        keys = [fact.name for fact in facts if OF_KEY.match(fact.name)]
        message = f"There is no index {plan.name} to drop; the indexes on keys are {', '.join(keys) or 'none'}."
        raise ConfigurationError(message)
    return [_dropped(plan, concurrently=concurrently)]


def clustering(wanted: Sequence[PlannedIndex], _: Sequence[IndexFact], key: Key) -> list[Step]:
    """Return the steps that store the rows of the table in the order of a key.

    Raises:
        ConfigurationError: the key is in another table.
    """
    table, schema = wanted[0].table, wanted[0].schema
    if key.model is not Document and key.column.table.name != table:
        message = f"{key.column} is not in {table}, which has the vector index. Name a column of {table}."
        raise ConfigurationError(message)
    return [Step(table, statement, builds=False) for statement in clustered(table, schema, key)]


def check_alone(table: tuple[str, str | None], *, alone: bool | None) -> None:
    """Refuse to continue while another session builds indexes of a table.

    Raises:
        ConfigurationError: another session does.
    """
    if not alone:
        message = (
            f"Another session is building or dropping indexes of {table[0]}, will do so at the end of its load, or is "
            "dropping or re-embedding it. Wait for it to finish."
        )
        raise ConfigurationError(message)


def _chosen(wanted: Sequence[PlannedIndex], names: Sequence[str]) -> list[PlannedIndex]:
    plans = {plan.name: plan for plan in wanted}
    unknown = [name for name in names if name not in plans]
    if unknown:
        message = f"There is no index {', '.join(unknown)} among {', '.join(plans)}."
        raise ConfigurationError(message)
    return [plan for plan in plans.values() if (plan.name in names if names else plan.is_vector)]


def _analyzed(steps: list[Step], wanted: Sequence[PlannedIndex]) -> list[Step]:
    """Return the steps, with ANALYZE if one of them builds: without statistics, the planner avoids the index."""
    if not any(step.builds for step in steps):
        return steps
    return [*steps, Step(wanted[0].table, wanted[0].analyze(), builds=False)]


def _renewed(plan: PlannedIndex, fact: IndexFact | None, *, concurrently: bool) -> list[Step]:
    if fact is not None and fact.is_building:
        message = f"Another session is building {plan.name}. Wait for it to finish."
        raise ConfigurationError(message)
    dropped = [_dropped(plan, concurrently=concurrently)] if fact is not None else []
    return [*dropped, Step(plan.name, plan.create(concurrently=concurrently))]


def _dropped(plan: PlannedIndex, *, concurrently: bool) -> Step:
    return Step(plan.name, plan.drop(concurrently=concurrently), builds=False)


def _found_dropped(fact: IndexFact, *, concurrently: bool) -> Step:
    return _dropped(PlannedIndex(fact.name, fact.table, "", fact.schema), concurrently=concurrently)


def _leftovers(wanted: Sequence[PlannedIndex], facts: Sequence[IndexFact]) -> list[Step]:
    """Return the steps that drop the copies that failed REINDEX CONCURRENTLY statements left."""
    copies = re.compile("|".join(re.escape(plan.name) + COPY for plan in wanted))
    return [
        _found_dropped(fact, concurrently=True)
        for fact in facts
        if fact.state == "invalid" and copies.fullmatch(fact.name)
    ]


def _check_same(plan: PlannedIndex, fact: IndexFact) -> None:
    differences = fact.shape.differences(plan.shape)
    if differences:
        message = f"{plan.name} already exists, but its {'; its '.join(differences)}. Call drop() first."
        raise ConfigurationError(message)


def _declared_by(model: type[Any], schemas: Schemas) -> list[PlannedIndex]:
    # With joined inheritance, the table with the vector is searched; `tables` ends with the class's own table.
    tables = reversed(mapper_of(model).tables)
    indexes = ([index for index in table.indexes if _method(index) in VECTOR_METHODS] for table in tables)
    plans = [planned(index, schema_in(schemas, index.table)) for index in next(filter(None, indexes), [])]
    return sorted(plans, key=lambda plan: plan.name)


def _method(index: Any) -> str:
    return str(index.dialect_options["postgresql"]["using"] or "").lower()


def asked_for(over: type[Any] | Collection, schemas: Schemas) -> Asked:
    """Return the indexes that a collection or a model declares, in the form of the doctor."""
    if isinstance(over, Collection):
        plans = planned_for(over, schemas)
        return Asked(
            f"the collection {over.name!r}",
            over.partition,
            plans,
            command=over.name,
            schema=plans[0].schema,
            reembedded_by=(over.reembedding or {}).get("embedder"),
            attach=partition_of(over, schemas).attach(),
        )
    table = table_of_model(over)
    vectors = {column.name: vector_type_of(column.type) for column in table.c}
    declared = {name: type_.dimension for name, type_ in vectors.items() if type_ and type_.dimension is not None}
    plans = [plan for plan in _declared_by(over, schemas) if plan.table == table.name]
    return Asked(over.__name__, table.name, plans, declared, schema=schema_in(schemas, table))
