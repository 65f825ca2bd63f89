from __future__ import annotations

from dataclasses import replace

from rowspace.statements.read import Export, ExportColumn

COLUMNS = (ExportColumn("embedding", "vector"), ExportColumn("section", by_json=True))


def test_a_copy_quotes_what_needs_it_and_joins_a_selection() -> None:
    export = Export('Art"icles', "Main", COLUMNS, (("id", "BIGINT"),), selection="rowspace_1")
    assert export.copy() == (
        'COPY (SELECT t.embedding::vector, to_jsonb(t.section) FROM "Main"."Art""icles" t '
        "JOIN pg_temp.rowspace_1 s USING (id)) TO STDOUT (FORMAT BINARY)"
    )
    assert replace(export, selection=None, present="Ebene").copy() == (
        'COPY (SELECT t.embedding::vector, to_jsonb(t.section) FROM "Main"."Art""icles" t '
        'WHERE t."Ebene" IS NOT NULL) TO STDOUT (FORMAT BINARY)'
    )
    assert export.create_selection() == "CREATE TEMPORARY TABLE pg_temp.rowspace_1 (id BIGINT) ON COMMIT DROP"


def test_the_estimate_takes_the_name_as_a_parameter() -> None:
    export = Export("it's", None, COLUMNS, ())
    compiled = export.estimate().compile()
    assert compiled.params == {"name": '"it\'s"'}
    assert "it's" not in str(compiled)
