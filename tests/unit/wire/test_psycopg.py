"""Timestamps are read as psycopg reads them, those that come again from memory."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import pq

from rowspace.wire import psycopg as wire

OID = psycopg.adapters.types["timestamptz"].oid
PLAIN = psycopg.adapters.get_loader(OID, pq.Format.TEXT)
TEXTS = [b"2026-11-28 18:31:03.076435+00", b"1999-01-01 00:00:00+05:30", b"0044-03-15 00:00:00-00:01:15"]


@pytest.mark.parametrize("text", TEXTS)
def test_it_is_what_psycopg_reads(text):
    read = wire.TimestampLoader(OID).load(text)
    expected = PLAIN(OID).load(text)
    assert (read, read.utcoffset()) == (expected, expected.utcoffset())


def test_one_that_comes_again_is_the_same_object():
    loader = wire.TimestampLoader(OID)
    first = loader.load(memoryview(TEXTS[0]))
    assert loader.load(bytearray(TEXTS[0])) is first
    assert loader.load(TEXTS[1]) != first


def test_it_remembers_no_more_than_a_number_of_them(monkeypatch):
    monkeypatch.setattr(wire, "_MOMENTS", 2)
    loader = wire.TimestampLoader(OID)
    assert [loader.load(text) for text in TEXTS * 2] == [PLAIN(OID).load(text) for text in TEXTS * 2]
    assert len(loader._known) <= 2


def test_what_cannot_be_read_is_psycopgs_error():
    with pytest.raises(psycopg.DataError, match="infinity"):
        wire.TimestampLoader(OID).load(b"infinity")
