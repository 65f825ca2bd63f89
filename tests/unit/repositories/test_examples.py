"""Examples of a recommendation, sorted out."""

from __future__ import annotations

import numpy as np
import pytest
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from rowspace import SparseVector
from rowspace.repositories.examples import Examples, merged
from rowspace.repositories.subjects import subject_of
from rowspace.results import Hit
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


def test_of_several_lists_each_row_comes_once_by_its_nearest_hit():
    one, two, three = Word(id=1), Word(id=2), Word(id=3)
    far, near, nowhere = Hit(two, 0.7, 0.3), Hit(two, 0.1, 0.9), Hit(three, float("nan"), float("nan"))
    first = Hit(one, 0.5, 0.5)
    lists = [[first, far], [near, Hit(one, 0.6, 0.4)], [nowhere]]
    assert [id(hit) for hit in merged(lists, 3)] == [id(near), id(first), id(nowhere)]
    assert merged(lists, 1) == [near]
