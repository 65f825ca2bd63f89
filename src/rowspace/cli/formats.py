"""Which format a file of documents has."""

from __future__ import annotations

from pathlib import Path

import typer

from rowspace.integrations._formats import Format

__all__ = ["Format", "format_of"]


def format_of(file: str, given: str | None) -> Format:
    """Return the format that is given, or else that of the suffix of a file.

    Raises:
        BadParameter: neither is one.
    """
    suffix = Path(file).suffix.lower().removeprefix(".")
    name = given or {"ndjson": "jsonl", "pq": "parquet"}.get(suffix, suffix)
    if name in list(Format):
        return Format(name)
    message = f"expected one of {', '.join(Format)}, got {given!r}."
    if given is None:
        message = f"{file!r} does not tell the format: say {', '.join(Format)}."
    if name == "json":
        message += f" For one JSON array: jq -c '.[]' {file} | rowspace ingest - --format jsonl"
    raise typer.BadParameter(message, param_hint="--format")
