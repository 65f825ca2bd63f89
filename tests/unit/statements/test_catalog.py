"""What the catalogs say of indexes, as facts."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from rowspace.statements.catalog import IndexFact, facts_of

FACT = {"schema": "public", "table": "articles", "name": "ix", "method": "hnsw", "definition": "CREATE ...", "size": 8}


@pytest.mark.parametrize("gone", [{"definition": None}, {"size": None}, {"definition": None, "size": None}])
def test_an_index_that_was_dropped_while_it_was_looked_at_is_left_out(gone):
    rows = [FACT, {**FACT, "name": "dropped", **gone}]
    assert facts_of(SimpleNamespace(mappings=lambda: rows)) == [IndexFact(**FACT)]
