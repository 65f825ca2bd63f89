from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from rowspace import Bit, HalfVector, SparseVector, Vector
from rowspace.errors import ConfigurationError
from rowspace.repositories.reading import plan_reading
from rowspace.repositories.subjects import subject_of


class Base(DeclarativeBase):
    pass


class Sketch(Base):
    __tablename__ = "sketches"
    id: Mapped[int] = mapped_column(primary_key=True)
    full: Mapped[Any] = mapped_column(Vector(8))
    half: Mapped[Any] = mapped_column(HalfVector(8))
    bits: Mapped[Any] = mapped_column(Bit(8))
    sparse: Mapped[Any] = mapped_column(SparseVector(8))
    of_any: Mapped[Any] = mapped_column(HalfVector)
    later: Mapped[Any] = mapped_column(Vector(8), nullable=True)


@pytest.mark.parametrize(("column", "shown"), [("full", 't."full"'), ("half", "t.half")])
def test_numbers_of_either_size_come_as_float32(column: str, shown: str) -> None:
    reading = plan_reading(subject_of(Sketch, column), {}, selects=False)
    assert reading.dimension == 8
    assert reading.export.copy().startswith(f"COPY (SELECT {shown}::vector, t.id FROM sketches t)")


@pytest.mark.parametrize(
    ("column", "shown"), [("bits", r"Bit\(8\)"), ("sparse", r"SparseVector\(8\)"), ("of_any", r"HalfVector\(\)")]
)
def test_of_other_types_there_is_no_matrix(column: str, shown: str) -> None:
    with pytest.raises(
        ConfigurationError, match=rf"with a dimension to read a matrix from, got {shown}\. TableRepository reads"
    ):
        plan_reading(subject_of(Sketch, column), {}, selects=False)


@pytest.mark.parametrize("selects", [False, True])
def test_a_row_whose_vector_is_gone_when_it_is_copied_is_left_out(selects: bool) -> None:
    copy = plan_reading(subject_of(Sketch, "later"), {}, selects=selects).export.copy()
    assert copy.endswith(" WHERE t.later IS NOT NULL) TO STDOUT (FORMAT BINARY)")
    assert (" JOIN pg_temp." in copy) == selects
