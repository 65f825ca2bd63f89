"""A queryset with the searches `nearest`, `hybrid` and `filter_metadata`, for any model with a vector field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypedDict, TypeVar, Unpack

from asgiref.sync import sync_to_async
from django.db import connections, models
from django.db.models.expressions import Expression
from django.db.models.query import ModelIterable
from pgvector.django import BitField
from sqlalchemy.orm import Session

from rowspace.distance import Distance, DistanceName
from rowspace.errors import ConfigurationError
from rowspace.filters import DOCUMENT, PATH, Filter, filter_values
from rowspace.integrations.django.conditions import conditions_of
from rowspace.integrations.django.conf import embedder
from rowspace.integrations.django.tables import key_names, key_of, mapped, vector_names
from rowspace.integrations.django.transactions import in_transaction, session
from rowspace.repositories import HybridRepository, Repository, SearchOptions
from rowspace.results import Hit, HybridHit
from rowspace.services.embedding import embed_query
from rowspace.settings import SearchSettings
from rowspace.statements.highlight import Highlight
from rowspace.statements.hybrid import Fusion, FusionMethod

__all__ = ["HybridOptions", "MetadataFilter", "VectorQuerySet"]

H = TypeVar("H", bound=Hit[Any])


class HybridOptions(TypedDict, total=False):
    """The options of `HybridRepository.hybrid`, which describes them."""

    fusion: Fusion | FusionMethod
    highlight: Highlight | bool
    exact: bool
    settings: SearchSettings | None


class NearestKeywords(SearchOptions, total=False):
    """The keyword arguments of `VectorQuerySet.nearest`."""

    field: str | None
    distance: Distance | DistanceName | None


class HybridKeywords(HybridOptions, total=False):
    """The keyword arguments of `VectorQuerySet.hybrid`."""

    text_field: str | None
    language: str | None
    field: str | None
    distance: Distance | DistanceName | None


_CONDITIONS = {DOCUMENT: "{} @> %s::jsonb", PATH: "{} @@ %s::jsonpath"}


class MetadataFilter(Expression):
    """A metadata filter on a JSONField, as a condition for `filter()`, `exclude()`, `Q` and `When`.

    Raises:
        InvalidFilter: the filter is malformed. It is raised at once, and its message names the path.
    """

    output_field = models.BooleanField()
    conditional = True

    def __init__(self, field: str, filter_: Filter) -> None:
        super().__init__()
        self.column: Any = models.F(field)
        self.values: Mapping[str, str] = filter_values(filter_)

    def get_source_expressions(self) -> list[Any]:
        """Return the filtered column."""
        return [self.column]

    def set_source_expressions(self, exprs: list[Any]) -> None:
        """Replace the filtered column, as Django does when it resolves names."""
        (self.column,) = exprs

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, list[str]]:  # noqa: ARG002 -- Django's signature
        """Return the condition. A GIN index supports both operators, and all values are parameters."""
        column, params = compiler.compile(self.column)
        clauses, given = [], []
        for name, value in self.values.items():
            clauses.append(_CONDITIONS[name].format(column))
            given += [*params, value]
        return (f"({' AND '.join(clauses)})", given) if clauses else ("TRUE", [])


class VectorQuerySet(models.QuerySet):
    """A queryset of a model with a vector field: `objects = VectorQuerySet.as_manager()`.

    A search runs immediately, on the rows that match the queryset's conditions, in Django's transaction. It returns
    hits whose instances respect `select_related`, `only` and annotations of the queryset. Vector fields are loaded on
    first access, unless the queryset selects its fields explicitly, or with `with_embedding=True`.
    """

    def filter_metadata(self, filter_: Filter | None, *, field: str = "metadata") -> Any:
        """Return the queryset of rows whose JSON matches a metadata filter, such as `{"year": {"$gt": 2020}}`.

        Raises:
            InvalidFilter: the filter is malformed.
        """
        return self.filter(MetadataFilter(field, filter_)) if filter_ else self.all()

    def nearest(
        self,
        query: Any,
        k: int = 10,
        *,
        field: str | None = None,
        distance: Distance | DistanceName | None = None,
        **options: Unpack[SearchOptions],
    ) -> list[Hit[Any]]:
        """Return the k nearest rows of the queryset, nearest first; exactly k if k rows match.

        Args:
            query: a vector of the field's dimension, or a text for the embedder of the setting `ROWSPACE`. For a
                BitField, a text contains bits, such as `101`.
            k: the number of rows, at least 1.
            field: the vector field, for a model with several.
            distance: the distance to order by; by default that of the field's index in `Meta.indexes`, else cosine.
            options: the options of every vector search; see `rowspace.repositories.SearchOptions`.

        Raises:
            InvalidVector: the query is not a vector, or not of the field's dimension.
            InvalidSetting: k or a setting is out of range.
            ConfigurationError: the model has no such vector field, or no embedder is set for a text.
        """
        with_vectors = options.pop("with_embedding", False)

        def search(made: Session, where: list[Any]) -> list[Hit[Any]]:
            repository = Repository(made, mapped(self.model), column=field, distance=distance)
            return repository.nearest(self._vector(query, field), k, where=where, **options)

        return self._found(mapped(self.model), search, with_vectors=with_vectors)

    def hybrid(
        self,
        text: str,
        vector: Any = None,
        k: int = 10,
        *,
        text_field: str | None = None,
        language: str | None = None,
        field: str | None = None,
        distance: Distance | DistanceName | None = None,
        **options: Unpack[HybridOptions],
    ) -> list[HybridHit[Any]]:
        """Return the k best rows of the queryset by vector and keyword, highest score first.

        Args:
            text: the text to search by keyword.
            vector: a vector; by default the embedder of the setting `ROWSPACE` makes one from the text.
            k: the number of rows, at least 1.
            text_field: the text field or SearchVectorField, for a model with several.
            language: the text-search configuration; by default `simple`.
            field: the vector field, for a model with several.
            distance: as for `nearest`.
            options: `fusion`, `highlight`, `exact`, `settings`; see `HybridRepository.hybrid`.

        Raises:
            InvalidVector, InvalidText, InvalidSetting, ConfigurationError: as for `nearest`, also for the text.
        """

        def search(made: Session, where: list[Any]) -> list[HybridHit[Any]]:
            repository: HybridRepository[Any] = HybridRepository(
                made, mapped(self.model), text=text_field, language=language, column=field, distance=distance
            )
            query = self._vector(text if vector is None else vector, field)
            return repository.hybrid(text, query, k, where=where, **options)

        return self._found(mapped(self.model), search)

    async def anearest(self, query: Any, k: int = 10, **options: Unpack[NearestKeywords]) -> list[Hit[Any]]:
        """Run `nearest` from async code, in Django's thread, as Django's own async methods do."""
        return await sync_to_async(self.nearest)(query, k, **options)

    async def ahybrid(
        self, text: str, vector: Any = None, k: int = 10, **options: Unpack[HybridKeywords]
    ) -> list[HybridHit[Any]]:
        """Run `hybrid` from async code; see `anearest`."""
        return await sync_to_async(self.hybrid)(text, vector, k, **options)

    def _vector(self, query: Any, field: str | None) -> Any:
        """Return the query, or the embedding of a text. For a BitField, a text is already a vector."""
        searched = self.model._meta.get_field(field or vector_names(self.model)[0])
        if not isinstance(query, str) or isinstance(searched, BitField):
            return query
        made = embedder()
        if made is None:
            message = (
                "A text needs an embedder to become a vector. Set ROWSPACE = {'EMBEDDER': ...} in the settings, or "
                "pass a vector."
            )
            raise ConfigurationError(message)
        return embed_query(made, query)

    def _found(
        self, entity: type[Any], search: Callable[[Session, list[Any]], list[H]], *, with_vectors: bool = False
    ) -> list[H]:
        """Run a search in Django's transaction, and return its hits with Django's instances."""
        if self._iterable_class is not ModelIterable:
            message = "A search returns instances. Do not combine it with values() or values_list()."
            raise ConfigurationError(message)
        with in_transaction(self.db), session(self.db) as made:
            hits = search(made, conditions_of(self, entity))
            keys = [key_of(hit.entity, self.model, connections[self.db]) for hit in hits]
            instances = self._by_keys(keys, with_vectors=with_vectors)
        # Skip a row that another transaction deleted between the two statements.
        found = zip(hits, keys, strict=True)
        return [replace(hit, entity=instances[key]) for hit, key in found if key in instances]

    def _by_keys(self, keys: list[Any], *, with_vectors: bool) -> dict[Any, Any]:
        if self.query.combinator:
            # Django cannot filter a union, and the default manager may exclude rows that another manager finds.
            rows = self.model._base_manager.using(self.db)  # noqa: SLF001 -- Django documents it
        else:
            # The keys already reflect the slice. Slicing again would select other rows.
            rows = self.all()
            rows.query.clear_limits()
        chosen = _of_keys(rows.order_by(), keys)
        return {instance.pk: instance for instance in _loading(chosen, vector_names(self.model), wanted=with_vectors)}


def _of_keys(rows: Any, keys: list[Any]) -> Any:
    """Return the rows with these keys. Window annotations are still computed over all of the rows."""
    query = rows.query
    if not any(part.contains_over_clause for part in (query.where, *query.annotations.values())):
        return rows.filter(pk__in=keys)
    # Django applies only conditions on windows after computing them, so mark the key condition as one. This does not
    # work for a condition on a composite key, hence one condition per column.
    names = key_names(rows.model)
    parts = [key if len(names) > 1 else (key,) for key in keys]
    chosen = rows.filter(**{f"{name}__in": [part[at] for part in parts] for at, name in enumerate(names)})
    for condition in [*chosen.query.where.leaves()][-len(names) :]:
        condition.contains_over_clause = True
    return chosen


def _loading(rows: Any, vectors: list[str], *, wanted: bool) -> Any:
    """Return the rows with their vectors, or without them unless the queryset selects its fields explicitly."""
    names, is_defer = rows.query.deferred_loading
    if not wanted:
        return rows if names else rows.defer(*vectors)
    if is_defer:
        return rows.defer(None).defer(*names.difference(vectors))
    return rows.only(*names, *vectors)
