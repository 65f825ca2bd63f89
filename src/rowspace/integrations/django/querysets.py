"""A queryset that searches: `nearest`, `hybrid` and `filter_metadata`, for any model with a vector field."""

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
    """The options of `HybridRepository.hybrid`, which says what they are."""

    fusion: Fusion | FusionMethod
    highlight: Highlight | bool
    exact: bool
    settings: SearchSettings | None


class NearestKeywords(SearchOptions, total=False):
    """The keywords of `VectorQuerySet.nearest`."""

    field: str | None
    distance: Distance | DistanceName | None


class HybridKeywords(HybridOptions, total=False):
    """The keywords of `VectorQuerySet.hybrid`."""

    text_field: str | None
    language: str | None
    field: str | None
    distance: Distance | DistanceName | None


_CONDITIONS = {DOCUMENT: "{} @> %s::jsonb", PATH: "{} @@ %s::jsonpath"}


class MetadataFilter(Expression):
    """A metadata filter over a JSONField, as a condition for `filter()`, `exclude()`, `Q` and `When`.

    Raises:
        InvalidFilter: the filter is malformed; at once, the message names the path.
    """

    output_field = models.BooleanField()
    conditional = True

    def __init__(self, field: str, filter_: Filter) -> None:
        super().__init__()
        self.column: Any = models.F(field)
        self.values: Mapping[str, str] = filter_values(filter_)

    def get_source_expressions(self) -> list[Any]:
        """Return what the filter is over."""
        return [self.column]

    def set_source_expressions(self, exprs: list[Any]) -> None:
        """Replace what the filter is over, as Django does when it resolves names."""
        (self.column,) = exprs

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, list[str]]:  # noqa: ARG002 -- Django's signature
        """Return the condition: both operators are served by a GIN index, and no value is in the text."""
        column, params = compiler.compile(self.column)
        clauses, given = [], []
        for name, value in self.values.items():
            clauses.append(_CONDITIONS[name].format(column))
            given += [*params, value]
        return (f"({' AND '.join(clauses)})", given) if clauses else ("TRUE", [])


class VectorQuerySet(models.QuerySet):
    """A queryset over a model with a vector field: `objects = VectorQuerySet.as_manager()`.

    A search runs at once, over the rows that the queryset's conditions leave, inside of Django's transaction. What
    comes back are hits with instances as the queryset makes them, by `select_related`, `only` and annotations. Vector
    fields are loaded when they are asked for, unless the queryset says what it loads, or with `with_embedding=True`.
    """

    def filter_metadata(self, filter_: Filter | None, *, field: str = "metadata") -> Any:
        """Return the queryset of the rows whose JSON matches a metadata filter, such as `{"year": {"$gt": 2020}}`.

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
        """Return the k nearest rows of the queryset, nearest first: k of them where k rows match.

        Args:
            query: a vector of the field's dimension, or a text for the embedder of the setting `ROWSPACE`; of a
                BitField, text is bits, such as `101`.
            k: rows wanted, at least 1.
            field: the vector field, for a model with several.
            distance: what is ordered by; by default that of the field's index in `Meta.indexes`, else cosine.
            options: those of every search by vector; see `rowspace.repositories.SearchOptions`.

        Raises:
            InvalidVector: the query is no vector, or not of the field's dimension.
            InvalidSetting: k or a setting is out of range.
            ConfigurationError: the model has no such vector field, or there is no embedder for a text.
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
        """Return the k best rows of the queryset by vector and by keyword, highest score first.

        Args:
            text: what is searched by keyword.
            vector: a vector; by default the embedder of the setting `ROWSPACE` makes one of the text.
            k: rows wanted, at least 1.
            text_field: the text field, or a SearchVectorField, for a model with several.
            language: the text-search configuration; `simple` by default.
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
        """Do the same as `nearest` in async code: in Django's thread, as Django's own async methods do."""
        return await sync_to_async(self.nearest)(query, k, **options)

    async def ahybrid(
        self, text: str, vector: Any = None, k: int = 10, **options: Unpack[HybridKeywords]
    ) -> list[HybridHit[Any]]:
        """Do the same as `hybrid` in async code; see `anearest`."""
        return await sync_to_async(self.hybrid)(text, vector, k, **options)

    def _vector(self, query: Any, field: str | None) -> Any:
        """Return the vector of a text; bits are themselves written as one."""
        searched = self.model._meta.get_field(field or vector_names(self.model)[0])
        if not isinstance(query, str) or isinstance(searched, BitField):
            return query
        made = embedder()
        if made is None:
            message = (
                "A text needs an embedder to become a vector: name one in the setting ROWSPACE = {'EMBEDDER': ...}, or "
                "pass a vector."
            )
            raise ConfigurationError(message)
        return embed_query(made, query)

    def _found(
        self, entity: type[Any], search: Callable[[Session, list[Any]], list[H]], *, with_vectors: bool = False
    ) -> list[H]:
        """Run a search in Django's transaction and return its hits with Django's instances."""
        if self._iterable_class is not ModelIterable:
            message = "A search returns instances: leave values() and values_list() out."
            raise ConfigurationError(message)
        with in_transaction(self.db), session(self.db) as made:
            hits = search(made, conditions_of(self, entity))
            keys = [key_of(hit.entity, self.model, connections[self.db]) for hit in hits]
            instances = self._by_keys(keys, with_vectors=with_vectors)
        # A row that another transaction deleted between the two statements is left out.
        found = zip(hits, keys, strict=True)
        return [replace(hit, entity=instances[key]) for hit, key in found if key in instances]

    def _by_keys(self, keys: list[Any], *, with_vectors: bool) -> dict[Any, Any]:
        if self.query.combinator:
            # Django filters no union, and the default manager may leave out what another one finds.
            rows = self.model._base_manager.using(self.db)  # noqa: SLF001 -- Django documents it
        else:
            # The keys are what the slice let through; a second slice would be another one.
            rows = self.all()
            rows.query.clear_limits()
        chosen = _of_keys(rows.order_by(), keys)
        return {instance.pk: instance for instance in _loading(chosen, vector_names(self.model), wanted=with_vectors)}


def _of_keys(rows: Any, keys: list[Any]) -> Any:
    """Return those of the rows that have the keys, with annotations by windows as they are over all of the rows."""
    query = rows.query
    if not any(part.contains_over_clause for part in (query.where, *query.annotations.values())):
        return rows.filter(pk__in=keys)
    # Django filters after the windows by what it takes for a condition on one, but not by a composite key.
    names = key_names(rows.model)
    parts = [key if len(names) > 1 else (key,) for key in keys]
    chosen = rows.filter(**{f"{name}__in": [part[at] for part in parts] for at, name in enumerate(names)})
    for condition in [*chosen.query.where.leaves()][-len(names) :]:
        condition.contains_over_clause = True
    return chosen


def _loading(rows: Any, vectors: list[str], *, wanted: bool) -> Any:
    """Return rows with their vectors, or without where the queryset does not say what it loads."""
    names, is_defer = rows.query.deferred_loading
    if not wanted:
        return rows if names else rows.defer(*vectors)
    if is_defer:
        return rows.defer(None).defer(*names.difference(vectors))
    return rows.only(*names, *vectors)
