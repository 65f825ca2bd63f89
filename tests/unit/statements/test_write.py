from __future__ import annotations

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
    inserted=(("Kind", "'note'"),),
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
        "SELECT count(*) FILTER (WHERE inserted), count(*) FILTER (WHERE NOT inserted) FROM merged"
    )


def test_odd_names_are_quoted_and_constants_and_casts_come_in():
    assert ODD.target == '"Schema"."Odd ""table"""'
    assert ODD.to_stage().statement() == 'COPY pg_temp.stage_1 ("Key", "select") FROM STDIN (FORMAT BINARY)'
    assert ODD.merge().startswith(
        'WITH merged AS (INSERT INTO "Schema"."Odd ""table""" (tenant, "Kind", "Key", "select") '
        "SELECT 5, 'note', "
        'CAST("Key" AS UUID), CAST("select" AS mood"s) FROM pg_temp.stage_1 ORDER BY "Key" '
        'ON CONFLICT (tenant, "Key") DO UPDATE SET "select" = excluded."select", updated_at = now() RETURNING'
    )


def test_rows_of_keys_alone_are_only_inserted():
    keys = Merge("tags", None, (StagedColumn("id", "INTEGER"),), ("id",), touched=(("updated_at", "now()"),))
    assert "ON CONFLICT (id) DO NOTHING RETURNING" in keys.merge()
