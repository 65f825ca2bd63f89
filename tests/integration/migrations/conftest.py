"""Scratch databases, and the real `alembic` command."""

import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import NullPool, create_engine, text

TOP = Path(__file__).parents[3]

# Everything about the tables of a schema that a migration decides.
SNAPSHOT = """
    SELECT c.relname::text, c.relkind::text, coalesce(pg_get_partkeydef(c.oid), ''),
           array(SELECT concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
                                  pg_get_expr(d.adbin, d.adrelid))
                   FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
                  WHERE a.attrelid = c.oid AND a.attnum > 0 ORDER BY a.attnum),
           array(SELECT concat_ws(' ', conname, pg_get_constraintdef(oid))
                   FROM pg_constraint WHERE conrelid = c.oid ORDER BY conname),
           array(SELECT pg_get_indexdef(indexrelid)
                   FROM pg_index WHERE indrelid = c.oid ORDER BY indexrelid::regclass::text)
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = :schema AND c.relkind IN ('r', 'p') ORDER BY c.relname
"""

PARTITION = """
    CREATE TABLE documents_1 (LIKE documents INCLUDING DEFAULTS INCLUDING CONSTRAINTS,
                              CHECK (vector_dims(embedding) = 3));
    ALTER TABLE documents ATTACH PARTITION documents_1 FOR VALUES IN (1);
    CREATE INDEX documents_1_embedding ON documents_1 USING hnsw ((embedding::vector(3)) vector_cosine_ops);
    CREATE INDEX documents_1_metadata ON documents_1 USING gin (metadata jsonb_path_ops)
"""


class Scratch:
    """A database of the test's own."""

    def __init__(self, engine):
        self.engine = engine

    def url(self, **changes):
        return self.engine.url.set(**changes).render_as_string(hide_password=False)

    def login(self, role):
        """The same database as another role."""
        return Scratch(create_engine(self.engine.url.set(username=role, password="s3cret"), poolclass=NullPool))

    def run(self, statements):
        with self.engine.begin() as connection:
            for statement in statements.split(";"):
                connection.execute(text(statement))

    def scalars(self, statement):
        with self.engine.connect() as connection:
            return connection.scalars(text(statement)).all()

    def add_collection(self, schema="public"):
        """A partition as collections make them, with its indexes."""
        self.run(f"SET LOCAL search_path TO {schema}, public; {PARTITION}")

    def snapshot(self, schema="public"):
        with self.engine.connect() as connection:
            return {row[0]: tuple(row) for row in connection.execute(text(SNAPSHOT), {"schema": schema})}

    def tables(self, schema="public"):
        return set(self.snapshot(schema))


class Command:
    """The `alembic` command from the top level."""

    top = TOP

    def start(self, arguments, *, scratch=None, cwd=TOP, program=("-m", "alembic"), **environment):
        given = {} if scratch is None else {"ROWSPACE_DATABASE_URL": scratch.url()}
        return subprocess.Popen(
            [sys.executable, *program, *arguments],
            cwd=cwd,
            env=os.environ | given | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def succeeds(self, *arguments, **options):
        """Run it and return what it printed."""
        process = self.start(arguments, **options)
        output, errors = process.communicate()
        assert process.returncode == 0, output + errors
        return output

    def fails(self, *arguments, **options):
        """Run it and return what it said, which is no traceback."""
        process = self.start(arguments, **options)
        output, errors = process.communicate()
        assert process.returncode != 0, output
        assert "Traceback" not in errors
        return output + errors


@pytest.fixture
def alembic():
    return Command()


@pytest.fixture
def new_scratch(new_database):
    """A function that makes an empty database; keywords go to its engine."""
    return lambda **options: Scratch(create_engine(new_database(empty=True), poolclass=NullPool, **options))


@pytest.fixture
def scratch(new_scratch):
    return new_scratch()


@pytest.fixture
def role(scratch):
    """A role that may log in and create tables, but is no superuser and owns nothing."""
    name = f"role_{uuid4().hex[:12]}"
    scratch.run(f"CREATE ROLE {name} LOGIN PASSWORD 's3cret'; GRANT CREATE ON SCHEMA public TO {name}")
    yield name
    scratch.run(f"DROP OWNED BY {name}; DROP ROLE {name}")
