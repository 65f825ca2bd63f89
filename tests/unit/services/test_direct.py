"""A statement on the driver's cursor: its text and parameters are what SQLAlchemy would send."""

from __future__ import annotations

import numpy as np
import pytest
from sqlalchemy import create_engine, event
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import asyncpg, psycopg

from rowspace.distance import Distance
from rowspace.errors import DimensionMismatch
from rowspace.models import Document
from rowspace.services import direct
from rowspace.statements.known import NAME, VERSION, nearest_known
from rowspace.statements.search import QUERY, Target

STATEMENT = nearest_known(Target(Document, "embedding", Distance.COSINE, 2, (("collection_id", 7),)), 3)
VALUES = {QUERY: [1, 2], NAME: "points", VERSION: "9"}


def test_parameters_by_name():
    text, bind = direct._compiled(psycopg.dialect(), STATEMENT)
    assert "%(rowspace_query)s::VECTOR(2)" in text
    assert bind(VALUES) == {QUERY: "[1,2]", NAME: "points", VERSION: "9"}


def test_parameters_by_position():
    text, bind = direct._compiled(asyncpg.dialect(), STATEMENT)
    assert bind(VALUES)[int(text.partition("::VECTOR")[0].rpartition("$")[2]) - 1] == "[1,2]"
    assert sorted(bind(VALUES)) == ["9", "[1,2]", "points"]


def test_it_is_compiled_once():
    dialect = postgresql.dialect()
    assert direct._compiled(dialect, STATEMENT) is direct._compiled(dialect, STATEMENT)


def test_a_vector_is_checked_before_it_is_sent():
    _, bind = direct._compiled(psycopg.dialect(), STATEMENT)
    with pytest.raises(DimensionMismatch):
        bind({**VALUES, QUERY: np.zeros(3)})


def test_who_wants_to_see_the_statements():
    engine = create_engine("postgresql+psycopg://")
    assert not direct._observed(engine)
    assert direct._observed(engine.execution_options(schema_translate_map={None: "other"}))
    assert direct._observed(create_engine("postgresql+psycopg://", echo=True))
    event.listen(engine, "before_cursor_execute", lambda *_: None)
    assert direct._observed(engine)
