"""Which format a file of documents has, as an option of a command."""

from __future__ import annotations

import typer

from rowspace.errors import ConfigurationError
from rowspace.integrations._ingest.formats import Format, format_of as named_format

__all__ = ["Format", "format_of"]


def format_of(file: str, given: str | None) -> Format:
    """Return the format that is given, or else that of the suffix of a file.

    Raises:
        BadParameter: neither is one.
    """
    try:
        return named_format(file, given)
    except ConfigurationError as error:
        raise typer.BadParameter(str(error), param_hint="--format") from error
