from __future__ import annotations

import uuid

import pytest
from sqlalchemy import Column, types
from sqlalchemy.dialects import postgresql

from rowspace.types import Bit, HalfVector, SparseVector, Vector
from rowspace.wire.asyncpg import as_parameters, is_outdated
from rowspace.wire.encode import EncodedRows, encoder_of

ID = uuid.UUID(int=7)


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (types.SmallInteger(), -3),
        (types.Integer(), -70_000),
        (types.BigInteger(), -(2**63)),
        (types.Double(), 0.1),
        (types.REAL(), 0.5),
        (types.Boolean(), True),
        (types.Boolean(), False),
        (types.Text(), "维基 'x'"),
        (types.String(9), "nine"),
        (types.LargeBinary(), b"\x00\xff"),
        (types.Uuid(), ID),
        (postgresql.JSON(), "text"),
        (postgresql.JSONB(), "text"),
    ],
    ids=str,
)
def test_binary_values_are_read_back_for_asyncpg(type_, value):
    encoder = encoder_of(Column("c", type_))
    values = EncodedRows([encoder], [{"c": value}, {"c": None}, {"c": value}], ["c"], [], range(3)).values(1 << 20)
    sent = '"text"' if isinstance(type_, types.JSON) else value
    null = "null" if isinstance(type_, types.JSON) else None
    assert as_parameters(values, [encoder.staged.staged_as]) == (sent, null, sent)


@pytest.mark.parametrize("dimension", [11, None])
def test_bits_are_as_many_as_they_were(dimension):
    encoder = encoder_of(Column("b", Bit(dimension)))
    values = EncodedRows([encoder], [{"b": "10110000011"}], ["b"], [], range(1)).values(1 << 20)
    (bits,) = as_parameters(values, [encoder.staged.staged_as])
    assert bits.as_string().replace(" ", "") == "10110000011"


@pytest.mark.parametrize("type_", [Vector(2), HalfVector(2), SparseVector(2)], ids=str)
def test_vectors_stay_bytes_beside_other_columns(type_):
    encoders = [encoder_of(Column("id", types.Integer())), encoder_of(Column("v", type_))]
    rows = EncodedRows(encoders, [{"id": 1, "v": [1, 2]}, {"id": 2, "v": [3, 4]}], ["id", "v"], [], range(2))
    sent = as_parameters(rows.values(1 << 20), [encoder.staged.staged_as for encoder in encoders])
    assert sent == (1, type_.to_binary(type_.coerce([1, 2])), 2, type_.to_binary(type_.coerce([3, 4])))


class Failed(Exception):
    def __init__(self, sqlstate, said):
        super().__init__(said)
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("sqlstate", "said", "outdated"),
    [
        ("XX000", "cache lookup failed for type 16445", True),
        ("22000", "invalid input for query argument $1: ... (expected str, got WireBytes)", True),
        # What follows is text of the caller's, in an error of his.
        ("22P02", 'invalid input syntax for type integer: "cache lookup failed for type"', False),
        ("22000", "invalid input for query argument $1: 'got WireBytes)' (an integer is required)", False),
        ("P0001", "got WireBytes)", False),
        ("XX000", "got WireBytes)", False),
    ],
)
def test_a_connection_is_outdated_by_what_the_server_and_asyncpg_say_themselves(sqlstate, said, outdated):
    assert is_outdated(Failed(sqlstate, said)) is outdated
