from __future__ import annotations

from dataclasses import replace

from rowspace.statements.write import Merge, StagedColumn

PLAIN = Merge(
    "articles", None, (StagedColumn("id", "INTEGER"), StagedColumn("title", "TEXT")), ("id",), stage="stage_1"
)
ODD = Merge(
    'Odd "table"',
    "Schema",
    (StagedColumn("Key", "TEXT", "UUID"), StagedColumn("select", "TEXT", 'mood"s')),
    ("tenant", "Key"),
    constants=(("tenant", 5),),
    touched=(("updated_at", "now()"),),
    stage="stage_1",
)


def test_the_life_of_a_staging_table():
    assert PLAIN.create_stage() == ("CREATE TEMPORARY TABLE pg_temp.stage_1 (id INTEGER, title TEXT) ON COMMIT DROP")
    assert PLAIN.to_stage().statement() == "COPY pg_temp.stage_1 (id, title) FROM STDIN (FORMAT BINARY)"
    assert PLAIN.clear_stage() == "TRUNCATE pg_temp.stage_1"
    assert PLAIN.drop_stage() == "DROP TABLE pg_temp.stage_1"


def test_rows_that_can_only_be_new_are_copied_straight_into_the_target():
    assert PLAIN.to_target().statement() == "COPY articles (id, title) FROM STDIN (FORMAT BINARY)"
    assert ODD.to_target().statement().startswith('COPY "Schema"."Odd ""table""" ("Key", ')


def test_a_merge_counts_inserted_and_updated():
    assert PLAIN.merge() == (
        "WITH merged AS (INSERT INTO articles (id, title) SELECT id, title FROM pg_temp.stage_1 ORDER BY id "
        "ON CONFLICT (id) DO UPDATE SET title = excluded.title RETURNING (xmax = 0) AS inserted) "
        "SELECT count(*) FILTER (WHERE inserted) AS inserted, count(*) FILTER (WHERE NOT inserted) AS updated "
        "FROM merged"
    )


def test_rows_without_a_key_are_inserted_and_update_none():
    keyless = replace(PLAIN, columns=PLAIN.columns[1:], keys=(), touched=(("changed", "now()"),))
    assert not keyless.updates
    assert keyless.merge() == replace(keyless, partitioned=True).merge()
    assert keyless.merge() == (
        "WITH merged AS (INSERT INTO articles (title) SELECT title FROM pg_temp.stage_1 RETURNING 1) "
        "SELECT count(*) AS inserted, 0 AS updated FROM merged"
    )


def test_given_rows_are_parameters_of_one_statement():
    assert PLAIN.merge_given(2) == (
        "WITH rowspace_given (id, title) AS "
        "(VALUES (CAST(%s AS INTEGER), CAST(%s AS TEXT)), (%s, %s)), "
        "merged AS (INSERT INTO articles (id, title) SELECT id, title FROM rowspace_given ORDER BY id "
        "ON CONFLICT (id) DO UPDATE SET title = excluded.title RETURNING (xmax = 0) AS inserted) "
        "SELECT count(*) FILTER (WHERE inserted) AS inserted, count(*) FILTER (WHERE NOT inserted) AS updated "
        "FROM merged"
    )
    numbered = PLAIN.merge_given(2, for_asyncpg=True)
    assert "(VALUES (CAST($1 AS INTEGER), CAST($2 AS TEXT)), ($3, $4)), merged AS (" in numbered
    odd_columns = (StagedColumn("50 %s", "TEXT"), *ODD.columns)
    assert '("50 %s", "Key", "select") AS' in replace(ODD, columns=odd_columns).merge_given(1, for_asyncpg=True)
    odd = replace(ODD, columns=odd_columns, partitioned=True).merge_given(1)
    assert odd.startswith('WITH rowspace_given ("50 %%s", "Key", "select") AS (VALUES (CAST(%s AS TEXT), CAST(%s')
    assert odd.count("%s") - odd.count("%%s") == 3
    assert "JOIN rowspace_given ON" in odd


def test_json_comes_as_text_where_a_codec_might_take_no_other():
    columns = (*PLAIN.columns, StagedColumn("meta", "JSONB"))
    statement = replace(PLAIN, columns=columns).merge_given(2, for_asyncpg=True)
    assert "(VALUES (CAST($1 AS INTEGER), CAST($2 AS TEXT), CAST($3 AS TEXT)), ($4, $5, $6))" in statement
    assert "SELECT id, title, CAST(meta AS JSONB) FROM rowspace_given" in statement


def test_odd_names_are_quoted_and_constants_and_casts_come_in():
    assert ODD.target == '"Schema"."Odd ""table"""'
    assert ODD.to_stage().statement() == 'COPY pg_temp.stage_1 ("Key", "select") FROM STDIN (FORMAT BINARY)'
    assert ODD.merge().startswith(
        'WITH merged AS (INSERT INTO "Schema"."Odd ""table""" (tenant, "Key", "select") '
        'SELECT 5, CAST("Key" AS UUID), CAST("select" AS mood"s) FROM pg_temp.stage_1 ORDER BY "Key" '
        'ON CONFLICT (tenant, "Key") DO UPDATE SET "select" = excluded."select", updated_at = now() RETURNING'
    )


def test_rows_of_keys_alone_are_only_inserted():
    keys = Merge("tags", None, (StagedColumn("id", "INTEGER"),), ("id",), touched=(("updated_at", "now()"),))
    assert "ON CONFLICT (id) DO NOTHING RETURNING" in keys.merge()


def test_defaults_are_for_inserts_alone():
    merge = replace(PLAIN, defaults=(("kind", "CAST(E'a' AS TEXT)"),)).merge()
    assert "INSERT INTO articles (kind, id, title) SELECT CAST(E'a' AS TEXT), id, title FROM" in merge
    assert "kind =" not in merge
