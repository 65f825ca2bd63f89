from __future__ import annotations

import pytest

from rowspace import Distance
from rowspace.errors import ConfigurationError

OPERATORS = {"l2": "<->", "cosine": "<=>", "inner_product": "<#>", "l1": "<+>", "hamming": "<~>", "jaccard": "<%>"}


@pytest.mark.parametrize(("name", "operator"), OPERATORS.items())
def test_operators(name, operator):
    assert Distance(name).operator == operator


@pytest.mark.parametrize(
    ("distance", "type_name", "opclass"),
    [
        ("l2", "vector", "vector_l2_ops"),
        ("cosine", "halfvec", "halfvec_cosine_ops"),
        ("inner_product", "sparsevec", "sparsevec_ip_ops"),
        ("l1", "vector", "vector_l1_ops"),
        ("hamming", "bit", "bit_hamming_ops"),
        ("jaccard", "bit", "bit_jaccard_ops"),
    ],
)
def test_operator_classes(distance, type_name, opclass):
    assert Distance(distance).opclass(type_name) == opclass


@pytest.mark.parametrize(("distance", "type_name"), [("l2", "bit"), ("hamming", "vector"), ("cosine", "int4")])
def test_a_distance_that_a_type_has_not_is_refused(distance, type_name):
    with pytest.raises(ConfigurationError, match=f"{distance} distance has no operator class for '{type_name}'"):
        Distance(distance).opclass(type_name)


@pytest.mark.parametrize(
    ("distance", "near", "far"),
    [
        ("cosine", (0.0, 1.0), (2.0, -1.0)),
        ("jaccard", (0.25, 0.75), (1.0, 0.0)),
        ("inner_product", (-3.0, 3.0), (4.0, -4.0)),
        ("l2", (0.0, 1.0), (3.0, 0.25)),
        ("l1", (1.0, 0.5), (9.0, 0.1)),
        ("hamming", (0.0, 1.0), (1.0, 0.5)),
    ],
)
def test_similarity_turns_the_distance_around(distance, near, far):
    assert Distance(distance).similarity(near[0]) == near[1]
    assert Distance(distance).similarity(far[0]) == pytest.approx(far[1])


def test_for_bits():
    assert {distance for distance in Distance if distance.for_bits} == {Distance.HAMMING, Distance.JACCARD}


def test_an_unknown_distance_is_told_the_known_ones():
    with pytest.raises(
        ConfigurationError, match=r"^The distance must be one of l2, cosine, .*, jaccard, got 'euclidean'\.$"
    ):
        Distance("euclidean")
