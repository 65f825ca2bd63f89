"""The file of rows that could not be loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from math import isfinite
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from rowspace.integrations._files import naming

__all__ = ["Rejects"]


class Rejects:
    """Writes invalid rows as JSON Lines: `line`, `reason` and `row`. It replaces an existing file.

    Args:
        path: the file; None writes nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self.count = 0
        self._path = path
        self._open = ExitStack()
        self._file: Any = None

    def __call__(self, line: int, reason: str, row: Any) -> None:
        """Write a row. Bytes that are not UTF-8 are escaped."""
        self.count += 1
        try:
            text = json.dumps({"line": line, "reason": reason, "row": _shown(row)}, allow_nan=False)
        except RecursionError:
            # A row that is too deeply nested to store may also be too deep for the JSON encoder.
            text = json.dumps({"line": line, "reason": reason, "row": None})
        with self._naming():
            self._file.write(text + "\n")

    def __enter__(self) -> Self:
        if self._path is not None:
            # Line buffering reports a disk error before the documents next to these rows are committed.
            self._file = self._open.enter_context(self._path.open("w", buffering=1, encoding="utf-8"))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._naming():
            self._open.close()

    def _naming(self) -> AbstractContextManager[None]:
        return naming(str(self._path))


def _shown(value: Any) -> Any:
    """Return a value that JSON can represent, with text for NaN, infinity, bytes and dates."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _shown(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(item) for item in value]
    if isinstance(value, str | int | None) or (isinstance(value, float) and isfinite(value)):
        return value
    return str(value)
