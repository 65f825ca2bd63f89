"""Examples of a recommendation, sorted out."""

from __future__ import annotations

import numpy as np
import pytest
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from rowspace import SparseVector
from rowspace.repositories.examples import Examples
from rowspace.repositories.subjects import subject_of
from rowspace.types import SparseValue


class Base(DeclarativeBase):
    pass


class Word(Base):
    __tablename__ = "words"

    id: Mapped[int] = mapped_column(primary_key=True)
    weights: Mapped[object] = mapped_column(SparseVector(4))


@pytest.mark.parametrize("vector", [{1: 0.5}, SparseValue({1: 0.5}, 4), [0, 0.5, 0, 0], np.array([0, 0.5, 0, 0])])
def test_a_sparse_vector_is_no_key(vector):
    examples = Examples.of(subject_of(Word), [vector, 7], [], "average")
    assert examples.keys == [(7,)]
    positive, _ = examples.vectors({(7,): {2: 1.0}})
    assert positive == [SparseValue({1: 0.5}, 4), SparseValue({2: 1.0}, 4)]
