from __future__ import annotations

import pyarrow as pa
import pytest

from rowspace.integrations._frames.metadata import columns_of_metadata, field_of_key, is_json


@pytest.mark.parametrize(
    ("kinds", "type_"),
    [
        ({"integer", "null"}, pa.int64()),
        ({"unsigned"}, pa.uint64()),
        ({"number"}, pa.float64()),
        ({"boolean"}, pa.bool_()),
        ({"null"}, pa.string()),
    ],
)
def test_a_key_of_one_kind_has_its_type(kinds, type_):
    field = field_of_key("n", kinds)
    assert field.type == type_
    assert not is_json(field)


@pytest.mark.parametrize("kinds", [{"exact"}, {"exact", "null"}, {"integer", "string"}, {"object"}])
def test_what_no_type_holds_is_json_text_whatever_a_frame_had(kinds):
    for kept in (None, pa.field("n", pa.float64())):
        field = field_of_key("n", kinds, kept)
        assert field.type == pa.string()
        assert is_json(field)


def test_json_text_has_all_digits():
    text = '{"n": 18446744073709551617}'
    (array,) = columns_of_metadata([text, "{}"], {"n": field_of_key("n", {"exact"})})
    assert array.to_pylist() == ["18446744073709551617", None]
