"""Convert an error to one sentence for a person, on the command line or on a page."""

from __future__ import annotations

from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from rowspace.errors import RowspaceError

__all__ = ["is_explained", "sentence_of"]


def is_explained(error: Exception) -> bool:
    """Return whether an error is about the user's input or the database. Any other error is a defect of Rowspace."""
    return isinstance(error, RowspaceError | ValueError | OSError | SQLAlchemyError)


def sentence_of(error: Exception) -> str:
    """Return the message of an error as one line."""
    if isinstance(error, OSError) and error.filename and not isinstance(error, RowspaceError):
        return f"{error.filename}: {error.strerror}."
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        if not first["loc"]:
            return f"{first['msg'].removeprefix('Value error, ')}."
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}, got {first['input']!r:.60}."
    # Only the first part: SQLAlchemy appends the statement and a link.
    return " ".join(str(error).partition("\n[SQL:")[0].split()) or type(error).__name__
