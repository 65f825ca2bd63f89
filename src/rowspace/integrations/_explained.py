"""What an error says to a person, in one sentence: for the command line and for pages."""

from __future__ import annotations

from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from rowspace.errors import RowspaceError

__all__ = ["is_explained", "sentence_of"]


def is_explained(error: Exception) -> bool:
    """Return whether an error is about what the person gave or about the database: any other is a fault of ours."""
    return isinstance(error, RowspaceError | ValueError | OSError | SQLAlchemyError)


def sentence_of(error: Exception) -> str:
    """Return what an error says, in one line."""
    if isinstance(error, OSError) and error.filename and not isinstance(error, RowspaceError):
        return f"{error.filename}: {error.strerror}."
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        if not first["loc"]:
            return f"{first['msg'].removeprefix('Value error, ')}."
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}, got {first['input']!r:.60}."
    # The first paragraph: SQLAlchemy's next ones are the statement and a link.
    return " ".join(str(error).partition("\n[SQL:")[0].split()) or type(error).__name__
