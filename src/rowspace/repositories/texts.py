"""Select the text of a repository's rows to search, and its language; and create hits from rows."""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy import Enum, String, inspect
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.types import TypeEngine

from rowspace.errors import ConfigurationError, InvalidSetting
from rowspace.repositories.subjects import Subject
from rowspace.results import HybridHit, TextHit
from rowspace.statements.highlight import Highlight, Marker
from rowspace.statements.text import TextTarget
from rowspace.types import stored_type

__all__ = ["hybrid_hit", "marker_of", "text_hit", "text_target_of"]

M = TypeVar("M")


def text_target_of(subject: Subject[M], text: str | None, language: str | None) -> TextTarget[M]:
    """Return the target of a search by keyword.

    Args:
        subject: the rows.
        text: the key of a text attribute, for a model with several, or of one of type TSVECTOR.
        language: the text-search configuration, for a model; `simple` if it is None.

    Raises:
        ConfigurationError: the model has no such attribute or several, or either is given for a collection.
    """
    if subject.collection is None:
        return TextTarget(subject.target, _choose(subject.target.model, text), language or "simple")
    if text is not None or language is not None:
        name = subject.collection.name
        message = f"The collection {name!r} has one text and one language. Omit text and language."
        raise ConfigurationError(message)
    return TextTarget(subject.target, "content", subject.collection.language)


def _choose(model: type[Any], text: str | None) -> str:
    mapper = inspect(model)
    columns = {key: column for key, column in mapper.columns.items() if _is_text(column.type)}
    if text is not None and text in columns:
        return text
    listed = ", ".join(columns) or "none"
    if text is not None or not columns:
        message = f"{model.__name__} has no text attribute{f' {text!r}' if text else ''}; it has {listed}."
        raise ConfigurationError(message)
    free = [key for key, column in columns.items() if not column.primary_key]
    if len(free) != 1:
        message = f"{model.__name__} has several text attributes ({listed}). Name one: "
        message += "text=... (in Django, text_field=...)."
        raise ConfigurationError(message)
    return str(free[0])


def _is_text(type_: TypeEngine[Any]) -> bool:
    stored = stored_type(type_)
    # The server does not search an enumeration as text, unless it is stored as text.
    return isinstance(stored, String | TSVECTOR) and not (isinstance(stored, Enum) and stored.native_enum)


def marker_of(highlight: Any, target: TextTarget[Any], text: str) -> Marker | None:
    """Return how to mark matches, or None.

    Raises:
        ConfigurationError: the target is a stored tsvector, which has no text to mark.
        InvalidSetting: `highlight` is neither a bool nor a `Highlight`.
    """
    if not isinstance(highlight, Highlight | bool):
        message = f"highlight must be True, False or a Highlight, as in Highlight(max_words=30), got {highlight!r:.60}."
        raise InvalidSetting(message)
    if highlight is False:
        return None
    if target.stored:
        message = f"{target.target.model.__name__}.{target.text} is a tsvector, which has no text to highlight."
        raise ConfigurationError(message)
    return Marker(Highlight() if highlight is True else highlight, text)


def text_hit(row: Any, marker: Marker | None) -> TextHit[Any]:
    """Return the hit of a row of `by_text`."""
    return TextHit(row[0], row[1], marker.render(row[2]) if marker else None)


def hybrid_hit(row: Any, target: TextTarget[Any], marker: Marker | None) -> HybridHit[Any]:
    """Return the hit of a row of `hybrid`."""
    entity, distance, rank, score = row[:4]
    similarity = target.target.distance.similarity(distance)
    return HybridHit(entity, distance, similarity, score, rank, marker.render(row[5]) if marker else None)
