"""The hits of a search as objects of the session, created from the rows of the driver's own cursor.

Loading objects through the ORM costs the client more than everything else in a search, because the ORM supports far
more than a search needs. If none of that is in use, this module creates the objects in the way the ORM would. An object
that is already in the session is returned unchanged, any other becomes a persistent object of the session, and
attributes that were not selected are loaded on access. If there are event listeners, inheritance, eager relationships
or pending changes to flush, the ORM runs the search. The ORM also runs the first search of each shape, and the state
that it leaves on an object, besides the values, is copied to the objects created here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from sqlalchemy import Column, Connection, Select, Table, inspect
from sqlalchemy.orm import Mapper, Session
from sqlalchemy.orm.attributes import instance_state

from rowspace.repositories.driver import is_observed, prepared, run
from rowspace.repositories.searches import Search
from rowspace.statements.search import Target, loaded

__all__ = ["Statement", "fetch", "plain_session"]

#: Relationships of these kinds set nothing on an object until they are accessed.
_LATER = {"select", True, "raise", "raise_on_sql", "write_only", "dynamic"}


class _Way(NamedTuple):
    """How to create the objects of a statement: from which columns, and with which instance state."""

    columns: Select[Any]
    mapper: Mapper[Any]
    #: The number of columns of a row before the object; the distance comes after it.
    before: int
    names: tuple[str, ...]
    complete: frozenset[str]
    primary_key: Callable[[Sequence[Any]], tuple[Any, ...]]
    load_options: Any
    load_path: Any
    callables: dict[str, Any]


#: Recipes by the statement that the ORM runs.
_ways: WeakKeyDictionary[Select[Any], _Way] = WeakKeyDictionary()


#: Returns a statement of `rowspace.statements.search.select_hits`; with `columns=True`, the one of the columns.
Statement = Callable[..., Any]


def plain_session(session: Any, search: Search[Any]) -> Session | None:
    """Return the `Session` that is or is inside `session`, or None if the ORM has to do more than load rows."""
    own: Any = getattr(session, "sync_session", session)
    kinds: Any = type(session), type(own)
    if not (search.keep and all(map(_is_genuine, kinds))):
        return None
    listened = own.dispatch.do_orm_execute or own.dispatch.loaded_as_persistent
    to_flush = own.autoflush and (own.identity_map.check_modified() or own.new or own.deleted)
    return None if listened or to_flush or getattr(own, "execution_options", None) else own


def fetch(
    session: Session, search: Search[Any], statement: Statement, parameters: Mapping[str, Any]
) -> Iterable[Sequence[Any]]:
    """Return the rows of a statement with an object in each, for a session that `plain_session` returned."""
    objects = statement(columns=False)
    way = _ways.get(objects)
    if way is None:
        return _fetch_and_learn(session, search, statement, parameters)
    connection = session.connection(bind_arguments={"mapper": way.mapper, "clause": objects})
    columns = prepared(connection.dialect, way.columns)
    found = None
    if columns.is_fixed and not _is_watched(connection, way.mapper):
        values = columns.parameters(parameters)
        rows = run(connection.connection, columns, values, keep_cursor=True, invalidate=connection.invalidate)
        found = _with_objects(session, way, rows)
    return session.execute(objects, parameters) if found is None else found


def _is_watched(connection: Connection, mapper: Mapper[Any]) -> bool:
    loads: Any = mapper.class_manager.dispatch
    return bool(loads.load or connection.invalidated or not connection.in_transaction() or is_observed(connection))


def _fetch_and_learn(
    session: Session, search: Search[Any], statement: Statement, parameters: Mapping[str, Any]
) -> Iterable[Sequence[Any]]:
    objects = statement(columns=False)
    known = set(session.identity_map.keys())
    rows = session.execute(objects, parameters).all()
    for row in rows if _is_plain(search.target) else ():
        state = instance_state(row[-2])
        if state.key not in known:
            names = loaded(search.target, search.shape)
            before = len(row) - 2
            _ways[objects] = _Way(
                columns=statement(columns=True),
                mapper=state.mapper,
                before=before,
                names=names,
                complete=frozenset(names),
                primary_key=_primary_key(state.mapper, names, before),
                load_options=state.load_options,
                load_path=state.load_path,
                callables=dict(state.callables),
            )
            break
    return rows


def _primary_key(
    mapper: Mapper[Any], names: tuple[str, ...], before: int
) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """Return a function that extracts the primary key of a row."""
    places = [before + names.index(mapper.get_property_by_column(column).key) for column in mapper.primary_key]
    return itemgetter(*places) if len(places) > 1 else lambda row: (row[places[0]],)


def _with_objects(session: Session, way: _Way, rows: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]] | None:
    """Return the rows with objects in place of columns, or None if the session has one of them partially loaded."""
    known, model, new = session.identity_map, way.mapper.class_, way.mapper.class_manager.new_instance
    _, _, before, names, complete, primary_key, load_options, load_path, callables = way
    session_id, lookup = session.hash_key, known.fast_get_state
    found: list[tuple[Any, ...]] = []
    for row in rows:
        # The class, the primary key, and a token that only horizontally sharded sessions use.
        key = model, primary_key(row), None
        state = lookup(key)
        entity = None if state is None else state.obj()
        if state is None or entity is None:
            entity = new()
            state = instance_state(entity)
            state.key, state.session_id = key, session_id
            state.load_options, state.load_path = load_options, load_path
            if callables:
                state.callables = dict(callables)
            # The columns of the object; the one of the distance follows them.
            state.dict.update(zip(names, row[before:] if before else row, strict=False))
            known.add(state)
        elif not state.dict.keys() >= complete:
            return None
        found.append((*row[:before], entity, row[-1]) if before else (entity, row[-1]))
    return found


@lru_cache(512)
def _is_plain(target: Target[Any]) -> bool:
    """Return whether loading a model involves only the columns of one table."""
    mapper: Any = inspect(target.model)
    return (
        isinstance(mapper.local_table, Table)
        and mapper.inherits is None
        and mapper.polymorphic_on is None
        and not mapper.always_refresh
        and not any(column.nullable or _is_deferred(mapper, column) for column in mapper.primary_key)
        and all(isinstance(column, Column) for one in mapper.column_attrs for column in one.columns)
        and all(one.lazy in _LATER for one in mapper.relationships)
    )


def _is_deferred(mapper: Mapper[Any], column: Any) -> bool:
    return bool(mapper.get_property_by_column(column).deferred)


@lru_cache(64)
def _is_genuine(kind: Any) -> bool:
    """Return whether `execute` is SQLAlchemy's own method, not that of a subclass or a proxy."""
    execute = getattr(kind, "execute", None)
    return getattr(execute, "__module__", None) in {"sqlalchemy.orm.session", "sqlalchemy.ext.asyncio.session"}
