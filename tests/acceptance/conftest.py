from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.fixture
def docs_database(new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Point ROWSPACE_DATABASE_URL at a migrated scratch database for one page of the documentation."""
    monkeypatch.setenv("ROWSPACE_DATABASE_URL", new_database())
