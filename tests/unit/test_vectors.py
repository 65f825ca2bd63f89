"""Values: what is taken, what is refused and why, and round trips through both forms on the wire."""

from __future__ import annotations

import array
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp
from pgvector import Vector as PgVector

from rowspace import vectors
from rowspace.errors import DimensionMismatch, InvalidVector

float32s = hnp.arrays(
    np.float32, st.integers(1, 40), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)
)
float16s = hnp.arrays(
    np.float16, st.integers(1, 40), elements=st.floats(width=16, allow_nan=False, allow_infinity=False)
)
bits = hnp.arrays(np.bool_, st.integers(1, 70))


class Tensor:
    """A tensor of torch that requires grad."""

    def __array__(self, dtype=None, copy=None):
        message = "Use tensor.detach().numpy() instead."
        raise RuntimeError(message)


class Series:
    """Knows the way to NumPy, like a pandas Series and pgvector's values."""

    def to_numpy(self):
        return np.array([1, 2, 3])


ARRAY_LIKES = {
    "list": [1, 2.0, 3],
    "tuple": (1, 2, 3),
    "range": range(1, 4),
    "array": array.array("d", [1, 2, 3]),
    "memoryview": memoryview(array.array("f", [1, 2, 3])),
    "decimals": [Decimal(1), Decimal("2.0"), 3],
    "pgvector": PgVector([1, 2, 3]),
    "series": Series(),
    "big integers": [10**20 - 10**20 + 1, 2, np.uint64(3)],
    "big-endian": np.array([1, 2, 3], ">f8"),
    "strided": np.arange(1, 7, dtype=np.float32)[:3][::-1][::-1],
    **{dtype: np.array([1, 2, 3], dtype) for dtype in ("int8", "uint8", "int64", "float16", "float32", "float64")},
}


@pytest.mark.parametrize("value", ARRAY_LIKES.values(), ids=ARRAY_LIKES)
def test_array_likes_are_vectors(value):
    vector = vectors.as_vector(value, dimension=3)
    assert vector.dtype == np.float32
    assert vector.flags.c_contiguous
    assert vector.tolist() == [1, 2, 3]


def test_a_float32_array_is_not_copied():
    given_ = np.array([1, 2], np.float32)
    assert vectors.as_vector(given_) is given_


def test_a_big_integer_comes_near():
    assert vectors.as_vector([10**30]).tolist() == [np.float32(1e30)]


REFUSED = {
    "scalar": (1.0, "Expected a vector of shape (n,), got an array of shape ()."),
    "matrix": ([[1, 2]], "Expected a vector of shape (n,), got an array of shape (1, 2). Take one row, as in"),
    "empty": ([], "at least 1 dimension"),
    "text": ("[1,2]", "Expected a vector of numbers, got str '[1,2]'."),
    "bytes": (b"12", "got bytes b'12'"),
    "bytearray": (bytearray(b"12"), "got bytearray bytearray(b'12')"),
    "tensor": (Tensor(), "object at"),
    "too long": (np.zeros(70_000, np.float32), "pgvector stores at most 16,000 dimensions in a vector, got 70,000."),
    "dict": ({0: 1.0}, "got dict {0: 1.0}"),
    "set": ({1.0}, "got set {1.0}"),
    "strings": (["1", "2"], "of dtype <U1"),
    "bools": ([True, False], "of dtype bool"),
    "complex": ([1j], "of dtype complex128"),
    "dates": (np.array(["2024-01-01"], "M8[D]"), "of dtype datetime64[D]"),
    "none": ([1, None], "with None in it"),
    "string among": (np.array([1, "2"], object), "with '2' in it"),
    "masked": (np.ma.array([1.0, 2.0], mask=[0, 1]), "A vector needs a number at every index, got MaskedArray"),
    "ragged": ([[1], [1, 2]], "inhomogeneous"),
    "generator": ((x for x in [1]), "got generator"),
    "object": ([object()], "got list [<object"),
    "too long an integer": ([10**400], "int too large to convert to float"),
    "nan": ([1, float("nan")], "A vector cannot contain NaN, which is at index 1."),
    "decimal nan": ([1, Decimal("NaN")], "A vector cannot contain NaN, which is at index 1."),
    "infinity": ([float("-inf"), 1], "A vector cannot contain infinity, which is at index 0."),
    "overflow": ([1, 2, -1e39], "The number -1e+39 at index 2 is outside the range of float32 (+-3.40282e+38)."),
}


@pytest.mark.parametrize(("value", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_vector_is_refused_with_the_reason(value, message):
    with pytest.raises(InvalidVector) as refused:
        vectors.as_vector(value)
    assert message in str(refused.value)


def test_a_masked_array_that_masks_nothing_is_an_array():
    assert vectors.as_vector(np.ma.array([1.0, 2.0])).tolist() == [1, 2]


def test_a_tensor_says_how_to_detach_it():
    with pytest.raises(InvalidVector, match=r"Use tensor\.detach\(\)\.numpy\(\) instead\.$"):
        vectors.as_vector(Tensor())


def test_a_number_too_small_is_zero_whatever_numpy_raises_for():
    with np.errstate(all="raise"):
        assert vectors.as_vector(np.array([1e-50, 1.0])).tolist() == [0, 1]
        assert vectors.as_halfvec(np.array([1e-9, 1.0], np.float32)).tolist() == [0, 1]
        assert vectors.as_sparse({0: 1e-50, 1: 1.0}, dimension=2).to_text() == "{2:1.0}/2"
        assert vectors.sound_rows([[1e-50, 1e39]])[1] == [0]
        with pytest.raises(InvalidVector, match="NaN, which is at index 0"):
            vectors.as_halfvec([np.nan, 1.0])


def test_long_values_are_shown_in_brief():
    with pytest.raises(InvalidVector) as refused:
        vectors.as_vector(["x" * 1000])
    assert len(str(refused.value)) < 150


@pytest.mark.parametrize("make", [vectors.as_vector, vectors.as_halfvec, vectors.as_bits])
def test_a_wrong_dimension_says_both(make):
    with pytest.raises(DimensionMismatch, match=r"^Expected 3 dimensions, got 2\.$"):
        make([1, 0], dimension=3)


def test_large_numbers_whose_square_overflows_are_fine():
    assert vectors.as_vector([3e38, -3e38]).tolist() == [np.float32(3e38), np.float32(-3e38)]


def test_halfvec_has_the_range_of_float16():
    assert vectors.as_halfvec([65504, 1e-9]).tolist() == [65504.0, 0.0]
    with pytest.raises(InvalidVector, match=r"70000 at index 0 is outside the range of float16 \(\+-65504\)"):
        vectors.as_halfvec([70000])


def test_a_matrix_names_row_and_index():
    assert vectors.as_matrix([[1, 2], [3, 4]], dimension=2).tolist() == [[1, 2], [3, 4]]
    with pytest.raises(InvalidVector, match=r"infinity, which is at row 1, index 0"):
        vectors.as_matrix([[1, 2], [float("inf"), 4]])
    with pytest.raises(InvalidVector, match=r"shape \(rows, dimension\), got an array of shape \(2,\)"):
        vectors.as_matrix([1, 2])
    with pytest.raises(DimensionMismatch, match="Expected 3 dimensions, got 2"):
        vectors.as_matrix([[1, 2]], dimension=3)


def test_only_the_bad_rows_of_a_matrix_are_named():
    given = np.array([[1, 2], [np.nan, 1], [1, 1e39], [3, 4]])
    matrix, bad = vectors.sound_rows(given)
    assert (matrix.dtype, bad) == (np.float32, [1, 2])
    assert matrix[[0, 3]].tolist() == [[1, 2], [3, 4]]
    assert str(vectors.fault_of(given[1])) == "A vector cannot contain NaN, which is at index 0."
    assert "1e+39 at index 1 is outside the range" in str(vectors.fault_of(given[2]))
    assert vectors.fault_of(given[0]) is None
    assert isinstance(vectors.fault_of([1, 2], dimension=3), DimensionMismatch)
    for wrong in (np.ones(3), np.array([["a"]]), [[1, None]]):
        with pytest.raises(InvalidVector):
            vectors.sound_rows(wrong)


def test_a_matrix_that_is_fine_is_taken_as_it_is():
    given = np.ones((3, 2), np.float32)
    matrix, bad = vectors.sound_rows(given)
    assert np.shares_memory(matrix, given)
    assert bad == []


@pytest.mark.parametrize("value", ["101", [True, False, True], [1, 0, 1], [1.0, 0.0, 1.0], np.array([1, 0, 1], "u1")])
def test_bits_from_any_form(value):
    assert vectors.as_bits(value).tolist() == [True, False, True]


@pytest.mark.parametrize("value", ["102", [0, 2], [0.5], "", [None], [], [[1]], np.ma.array([1, 0], mask=[0, 1])])
def test_what_is_no_bits_is_refused(value):
    with pytest.raises(InvalidVector):
        vectors.as_bits(value)


# Round trips: what was sent comes back with the same bits, through either form.


@given(float32s)
def test_vector_round_trips(vector):
    assert vectors.from_binary(vectors.to_binary(vector)).tobytes() == vector.tobytes()
    assert vectors.from_text(vectors.to_text(vector)).tobytes() == vector.tobytes()


@given(float16s)
def test_halfvec_round_trips(vector):
    assert vectors.from_binary(vectors.to_binary(vector), np.float16).tobytes() == vector.tobytes()
    assert vectors.from_text(vectors.to_text(vector), np.float16).tobytes() == vector.tobytes()


@given(bits)
def test_bits_round_trip(bits):
    assert np.array_equal(vectors.bits_from_binary(vectors.bits_to_binary(bits)), bits)
    assert np.array_equal(vectors.bits_from_text(vectors.bits_to_text(bits)), bits)


@given(hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9)))
def test_a_matrix_is_the_binary_of_its_rows(matrix):
    rows = vectors.matrix_to_binary(matrix)
    assert [row.tobytes() for row in rows] == [vectors.to_binary(row) for row in matrix]


def test_the_binary_forms_are_those_of_the_server():
    assert vectors.to_binary(np.array([1, -2], np.float32)) == bytes.fromhex("0002 0000 3f800000 c0000000")
    assert vectors.to_binary(np.array([1, -2], np.float16)) == bytes.fromhex("0002 0000 3c00 c000")
    assert vectors.bits_to_binary(np.array([1, 0, 1], bool)) == bytes.fromhex("00000003 a0")
    assert vectors.to_text(np.array([1, 2.5, 1e-7], np.float32)) == "[1,2.5,1.00000001e-07]"


def test_decoded_arrays_belong_to_the_caller():
    for decoded in (
        vectors.from_binary(vectors.to_binary(np.ones(2, np.float32))),
        vectors.from_text("[1,1]"),
        vectors.bits_from_binary(bytes.fromhex("00000002 c0")),
        vectors.bits_from_text("11"),
    ):
        decoded[0] = 0
        assert decoded.tolist() == [0, 1]
