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
    """Writes bad rows as JSON Lines: `line`, `reason` and `row`; an earlier file of that name is replaced.

    Args:
        path: the file; None writes nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self.count = 0
        self._path = path
        self._open = ExitStack()
        self._file: Any = None

    def __call__(self, line: int, reason: str, row: Any) -> None:
        """Write a row: what is no text, such as a byte that is not UTF-8, as an escape."""
        self.count += 1
        try:
            text = json.dumps({"line": line, "reason": reason, "row": _shown(row)}, allow_nan=False)
        except RecursionError:
            # What is too deep to be stored may be too deep to be written again, where the stack is higher.
            text = json.dumps({"line": line, "reason": reason, "row": None})
        with self._naming():
            self._file.write(text + "\n")

    def __enter__(self) -> Self:
        if self._path is not None:
            # Line by line: an error of the disk comes before what is loaded beside them is committed.
            self._file = self._open.enter_context(self._path.open("w", buffering=1, encoding="utf-8"))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._naming():
            self._open.close()

    def _naming(self) -> AbstractContextManager[None]:
        return naming(str(self._path))


def _shown(value: Any) -> Any:
    """Return what JSON has for a value, and text where it has nothing: for NaN, infinity, bytes and dates."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _shown(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(item) for item in value]
    if isinstance(value, str | int | None) or (isinstance(value, float) and isfinite(value)):
        return value
    return str(value)
