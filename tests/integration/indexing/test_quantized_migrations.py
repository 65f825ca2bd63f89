"""Alembic's autogenerate over quantized indexes of a model."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Integer, text
from sqlalchemy.orm import DeclarativeBase, mapped_column

from rowspace import HNSW, Database, IVFFlat, Vector
from rowspace.migrations import configure_options

TABLE = "quantized_pictures"


def metadata_of(*indexes):
    class Own(DeclarativeBase):
        pass

    class Picture(Own):
        __tablename__ = TABLE
        __table_args__ = indexes
        id = mapped_column(Integer, primary_key=True)
        embedding = mapped_column(Vector(96))
        large = mapped_column(Vector(3_000))

    return Own.metadata


BIT = HNSW(quantize="bit", where="id > 3")


@pytest.fixture
def connection(index_url):
    with Database.open(index_url) as database, database.engine.connect() as connection:
        yield connection


def differences(connection, metadata):
    options = dict(configure_options(), include_name=lambda name, kind, parents: kind != "table" or name == TABLE)
    context = MigrationContext.configure(connection, opts={**options, "target_metadata": metadata})
    return [operation[0] for operation in compare_metadata(context, metadata)]


def test_a_quantized_index_agrees_with_itself(connection):
    metadata = metadata_of(BIT.index("embedding"), IVFFlat("l2", 5).index("large"))
    metadata.create_all(connection)
    assert differences(connection, metadata) == []


@pytest.mark.parametrize("other", [HNSW(where="id > 3"), HNSW(quantize="halfvec", where="id > 3")])
def test_a_change_of_quantization_is_seen(connection, other):
    metadata_of(other.index("embedding")).create_all(connection)
    assert differences(connection, metadata_of(BIT.index("embedding"))) == ["remove_index", "add_index"]


def test_a_model_above_2000_dimensions_is_indexed_as_halfvec(connection):
    metadata_of(HNSW().index("large")).create_all(connection)
    definition = connection.scalar(text(f"SELECT indexdef FROM pg_indexes WHERE indexname = 'ix_{TABLE}_large'"))
    assert "((large)::halfvec(3000)) halfvec_cosine_ops" in definition
