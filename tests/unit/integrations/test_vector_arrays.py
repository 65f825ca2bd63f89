from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from rowspace import Vector
from rowspace.errors import DimensionMismatch, InvalidVector
from rowspace.integrations._frames.columns import array_of, arrow_type
from rowspace.integrations._frames.vectors import sound_vectors, vectors_of
from rowspace.wire.columns import Kind, RawColumn

FINE = {
    "lists": pa.array([[1.0, 2.0], [3.0, 4.0]]),
    "fixed": pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32(), 2)),
    "large": pa.array([[1, 2], [3, 4]], pa.large_list(pa.int64())),
    "a slice": pa.array([[9.0], [1.0, 2.0], [3.0, 4.0], None])[1:3],
    "a slice of fixed ones": pa.array([None, [1, 2], [3, 4]], pa.list_(pa.float32(), 2))[1:],
}


@pytest.mark.parametrize("array", FINE.values(), ids=FINE)
def test_vectors_that_are_all_fine_are_one_matrix_and_are_not_looked_at_one_by_one(monkeypatch, array):
    monkeypatch.setattr("rowspace.integrations._frames.vectors.fault_of", pytest.fail)
    vectors, faults = sound_vectors(array)
    assert isinstance(vectors, np.ndarray)
    assert (vectors.tolist(), vectors.dtype, faults) == ([[1, 2], [3, 4]], np.float32, {})


def test_the_numbers_of_a_fixed_size_list_are_not_copied():
    matrix = np.ones((3, 2), np.float32)
    array = pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), 2)
    assert np.shares_memory(vectors_of(array), matrix)


@pytest.mark.parametrize("kind", [pa.list_(pa.float64()), pa.large_list(pa.float32()), pa.list_(pa.float32(), 2)])
@pytest.mark.parametrize("offset", [0, 1])
def test_bad_ones_are_told_apart(kind, offset):
    given = [[7, 8], None, [1, 2], [float("nan"), 1], [3, 4], [1, None], [5, 6]]
    vectors, faults = sound_vectors(pa.array(given, kind)[offset:])
    found = {at + offset: list(vector) for at, vector in enumerate(vectors) if vector is not None}
    assert found == {at: given[at] for at in (0, 2, 4, 6) if at >= offset}
    assert sorted(at + offset for at in faults) == [3, 5]
    assert "NaN, which is at index 0" in str(faults[3 - offset])
    assert "with None in it" in str(faults[5 - offset])


def test_the_first_vector_tells_the_dimension_unless_it_is_known():
    array = pa.array([[1.0], [1.0, 2.0], []])
    assert sorted(sound_vectors(array)[1]) == [1, 2]
    assert sorted(sound_vectors(array, 2)[1]) == [0, 2]
    with pytest.raises(DimensionMismatch, match=r"Row 11: Expected 1 dimensions, got 2\."):
        vectors_of(array, number=10)
    with pytest.raises(InvalidVector, match=r"Row 0: Expected a vector of at least 1 dimension"):
        vectors_of(pa.array([[], []], pa.list_(pa.float32())))


def test_a_column_that_is_all_null_has_no_vectors():
    assert sound_vectors(pa.nulls(2)) == ([None, None], {})


@pytest.mark.parametrize("array", [pa.array(["[1]"]), pa.array([1.0]), pa.array([["a"]]), pa.array([{"a": 1}])])
def test_what_holds_no_vectors_is_refused_as_a_whole(array):
    with pytest.raises(InvalidVector, match=r"The column 'v' is .*expected FixedSizeList<float32> or lists"):
        sound_vectors(array, name="v")


def test_vectors_of_any_dimension_are_lists():
    sent = [Vector().to_binary(np.array(one, np.float32)) for one in ([1, 2], [3])]
    raw = RawColumn(np.array([len(sent[0]), -1, len(sent[1])]), b"".join(sent))
    array = array_of(raw, Kind.VECTOR, arrow_type(Vector()))
    array.validate(full=True)
    assert (array.type, array.to_pylist()) == (pa.list_(pa.float32()), [[1, 2], None, [3]])
