from __future__ import annotations

import pytest


@pytest.fixture
def docs_database() -> None:
    """Point ROWSPACE_DATABASE_URL at a migrated scratch database for one page of the documentation."""
