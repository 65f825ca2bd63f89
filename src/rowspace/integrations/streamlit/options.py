"""What the application is started with: by `rowspace ui`, which starts it in its own process, or by the environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

__all__ = ["UiOptions", "current", "given"]


@dataclass(frozen=True, slots=True)
class UiOptions:
    """The options of the application.

    Args:
        url: the database; None means `ROWSPACE_DATABASE_URL`, else the embedded server.
        schema: the schema of Rowspace's tables.
        embedder: `local`, `none` or `module:attribute`; None means `ROWSPACE_EMBEDDER`, else `local`.
        model: a chat model by LangChain's name for it; None means extractive answers.
        database: a `Database` that is open already and stays so, in place of one on the URL.
    """

    url: str | None = field(default=None, repr=False)
    schema: str | None = None
    embedder: str | None = None
    model: str | None = None
    database: Any = field(default=None, repr=False)

    @classmethod
    def from_environment(cls) -> UiOptions:
        """Return what the variables say."""
        return cls(
            schema=os.environ.get("ROWSPACE_SCHEMA") or None,
            model=os.environ.get("ROWSPACE_CHAT_MODEL") or None,
        )


# Not in the environment, which the browser that Streamlit opens would inherit, password and all.
_given: list[UiOptions] = []


def current() -> UiOptions:
    """Return the options of the running application."""
    return _given[-1] if _given else UiOptions.from_environment()


@contextmanager
def given(options: UiOptions) -> Iterator[None]:
    """Run the application with these options until the block ends."""
    _given.append(options)
    try:
        yield
    finally:
        _given.remove(options)
