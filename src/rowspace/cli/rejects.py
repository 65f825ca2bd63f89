"""The file of lines that could not be loaded."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

__all__ = ["Rejects"]


class Rejects:
    """Writes bad lines as JSON Lines: `line`, `reason` and `row`; an earlier file of that name is replaced.

    Args:
        path: the file; None writes nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self.count = 0
        self._path = path
        self._open = ExitStack()
        self._file: Any = None

    def __call__(self, line: int, reason: str, row: Any) -> None:
        """Write a line: what is no text, such as a byte that is not UTF-8, as an escape."""
        self.count += 1
        self._file.write(json.dumps({"line": line, "reason": reason, "row": row}) + "\n")

    def __enter__(self) -> Self:
        if self._path is not None:
            self._file = self._open.enter_context(self._path.open("w", encoding="utf-8"))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.close()
