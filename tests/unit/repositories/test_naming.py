from __future__ import annotations

import numpy as np
import pytest

from rowspace import HNSW, Distance, IVFFlat
from rowspace.errors import ConfigurationError, InvalidFilter
from rowspace.repositories.naming import check_collection, check_keys


def test_keys():
    assert check_keys(("year", "by.name", "year")) == ["year", "by.name"]
    for keys, error, message in (
        ("year", ConfigurationError, r"as a list of metadata keys, got one text\. Write \['year'\]"),
        ([5], ConfigurationError, "a text, written as in a filter, got 5"),
        (["a\0"], ConfigurationError, "a text, written as in a filter, got 'a"),
        (["a..b"], InvalidFilter, "a name on each side of every dot"),
    ):
        with pytest.raises(error, match=message):
            check_keys(keys)


@pytest.mark.parametrize("name", ["a", "O'Brien", '"quoted"', "100 %", "新闻 库", "x" * 200, "a;b--c", "$1 :x %s"])
def test_names(name):
    assert check_collection(name, 3, "cosine", None) == (Distance.COSINE, None)


@pytest.mark.parametrize("name", ["", " a", "a ", "x" * 201, "a\nb", "a\0b", "\ud800", None, 5, b"a"])
def test_names_that_cannot_be(name):
    with pytest.raises(
        ConfigurationError,
        match="name of a collection must be 1 to 200 printable characters without outer spaces, got ",
    ):
        check_collection(name, 3, "cosine", None)


@pytest.mark.parametrize("dimension", [np.int64(3), np.uint16(3), np.int64(16_000)])
def test_dimensions_of_numpy(dimension):
    assert check_collection("a", dimension, "l2", None) == (Distance.L2, None)
    with pytest.raises(ConfigurationError, match="hnsw indexes at most 4000 dimensions of halfvec, got 4001"):
        check_collection("a", dimension * 0 + 4_001, "l2", "hnsw")


@pytest.mark.parametrize(
    ("index", "distance", "spec"),
    [
        (None, "l2", None),
        ("hnsw", "l2", HNSW(Distance.L2)),
        ("ivfflat", Distance.L2, IVFFlat(Distance.L2)),
        (HNSW(Distance.L2, m=4), "l2", HNSW(Distance.L2, m=4)),
    ],
)
def test_indexes(index, distance, spec):
    assert check_collection("a", 3, distance, index) == (Distance(distance), spec)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            (3, "hamming", None),
            "The distance of a collection must be one of l2, cosine, inner_product, l1, got 'hamming'.",
        ),
        ((3, "euclid", None), "got 'euclid'."),
        ((3, "l2", 5), "an HNSW or IVFFlat, or None, got 5."),
        ((3, "l2", "gin"), "Expected index as one of hnsw, ivfflat, an HNSW or IVFFlat, or None, got 'gin'."),
        (
            (3, "l2", HNSW()),
            "The index has the distance cosine, the collection l2, so no search could use it.",
        ),
        ((4001, "l2", "hnsw"), "hnsw indexes at most 4000 dimensions of halfvec, got 4001."),
        ((0, "l2", None), "The dimension must be a whole number from 1 to 16000, got 0."),
        ((16001, "l2", None), "The dimension must be a whole number from 1 to 16000, got 16001."),
        (("3", "l2", None), "The dimension must be a whole number from 1 to 16000, got '3'."),
        ((True, "l2", None), "The dimension must be a whole number from 1 to 16000, got True."),
        ((3.0, "l2", None), "The dimension must be a whole number from 1 to 16000, got 3.0."),
        (
            (np.float32(3), "l2", None),
            "The dimension must be a whole number from 1 to 16000, got np.float32(3.0).",
        ),
        ((None, "l2", None), "The dimension must be a whole number from 1 to 16000, got None."),
    ],
)
def test_what_cannot_be(options, message):
    with pytest.raises(ConfigurationError) as refused:
        check_collection("a", *options)
    assert message in str(refused.value)
