"""Statements that fill a new table for a collection next to its partition, and swap the two.

The new table is filled from the old one, which can be searched and written meanwhile. A trigger records the ids of rows
that change. These texts contain only quoted identifiers that Rowspace generated, and checked numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Text, TextClause, bindparam, text

from rowspace.indexes import Spec
from rowspace.models import Document
from rowspace.statements.admin import Partition
from rowspace.statements.identifiers import qualified, quote
from rowspace.statements.locks import LOCK_TIMEOUT

__all__ = ["Replacement", "carry_over", "obstacles"]

_COLUMNS = [quote(column.name) for column in Document.__table__.columns]


@dataclass(frozen=True, slots=True)
class Replacement:
    """The old partition of a collection, and the table that will replace it.

    Args:
        old: the current partition.
        dimension: length of a new embedding; irrelevant for statements that only drop.
    """

    old: Partition
    dimension: int = 1

    @property
    def new(self) -> Partition:
        """The new table."""
        return replace(self.old, dimension=self.dimension, suffix="_next")

    @property
    def _changes(self) -> str:
        return replace(self.old, suffix="_changes").qualified

    def begin(self) -> list[str]:
        """Return the statements that create the table and start recording changes; they wait for writers only."""
        old, alter = self.old.qualified, f"ALTER TABLE {self.new.qualified}"
        run = f"EXECUTE FUNCTION {self._in_schema('documents_note_change')}()"
        return [
            *self.new.build(),
            # Without it, the swap would scan the rows (PostgreSQL manual, "Partition Maintenance").
            f"{alter} ADD CONSTRAINT {self._check} CHECK (collection_id = {self.old.collection_id:d})",
            f"CREATE TABLE {self._changes} (seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id text NOT NULL)",
            # The rows are filled in the order of their ids, starting after this one.
            f"INSERT INTO {self._changes} (id) VALUES ('')",
            # Every role that can write documents needs to insert here.
            f"GRANT INSERT ON {self._changes} TO PUBLIC",
            f"CREATE TRIGGER rowspace_note_change AFTER INSERT OR UPDATE OR DELETE ON {old} FOR EACH ROW {run}",
            f"CREATE TRIGGER rowspace_no_truncate BEFORE TRUNCATE ON {old} FOR EACH STATEMENT {run}",
        ]

    def drop(self) -> list[str]:
        """Return the statements that drop the table and the record, if the old partition is dropped too."""
        return [f"DROP TABLE IF EXISTS {self.new.qualified}, {self._changes}"]

    def abandon(self) -> list[str]:
        """Return the statements that restore the old partition to its previous state."""
        names = ("rowspace_note_change", "rowspace_no_truncate")
        return [*(f"DROP TRIGGER IF EXISTS {name} ON {self.old.qualified}" for name in names), *self.drop()]

    def rest(self, limit: int) -> TextClause:
        """Select id and content of the next rows to embed, in the order of their ids."""
        # Also by the first column of the key: without it, the server reads the whole table for each batch.
        last = f"(SELECT max(id) FROM {self.new.qualified} WHERE {self._own()})"
        return text(
            f"SELECT id, content FROM {self.old.qualified} WHERE {self._own()} AND id > coalesce({last}, '') "
            f"ORDER BY id LIMIT {limit:d}"
        )

    def counts(self) -> TextClause:
        """Select the number of rows in the new and the old table; costs a pass over both."""
        new, old = f"SELECT count(*) FROM {self.new.qualified}", f"SELECT count(*) FROM {self.old.qualified}"
        return text(f"SELECT ({new}) AS new_rows, ({old}) AS old_rows")

    def changed(self, limit: int) -> TextClause:
        """Select number and id of changes that are not yet in the new table, oldest first."""
        return text(f"SELECT seq, id FROM {self._changes} ORDER BY seq LIMIT {limit:d}")

    def unembedded(self, ids: Sequence[str]) -> TextClause:
        """Select id and content of those rows whose current content is not in the new table."""
        return text(
            f"SELECT o.id, o.content FROM {self.old.qualified} o LEFT JOIN {self.new.qualified} n "
            "ON n.collection_id = o.collection_id AND n.id = o.id "
            f"WHERE {self._own('o.')} AND o.id = ANY(:ids) AND n.content IS DISTINCT FROM o.content"
        ).bindparams(_texts("ids", ids))

    def store(self, staged: str) -> str:
        """Return the statement that stores staged embeddings of rows whose content has not changed since."""
        names = ", ".join(_COLUMNS)
        values = ", ".join("s.embedding" if name == "embedding" else f"o.{name}" for name in _COLUMNS)
        sets = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name not in {"collection_id", "id"})
        return (
            f"INSERT INTO {self.new.qualified} ({names}) SELECT {values} FROM {staged} s JOIN {self.old.qualified} o "
            f"ON {self._own('o.')} AND o.id = s.id AND o.content = s.content "
            f"ON CONFLICT (collection_id, id) DO UPDATE SET {sets}"
        )

    def settle(self, changes: Sequence[tuple[int, str]]) -> list[TextClause]:
        """Return the statements that apply changes that need no embedding, and remove them from the record."""
        ids = _texts("ids", [id_ for _, id_ in changes])
        kept = [name for name in _COLUMNS if name not in {"collection_id", "id", "content", "embedding"}]
        sets = ", ".join(f"{name} = o.{name}" for name in kept)
        same = "o.collection_id = n.collection_id AND o.id = n.id"
        return [
            text(
                f"UPDATE {self.new.qualified} n SET {sets} FROM {self.old.qualified} o "
                f"WHERE {same} AND o.content = n.content AND n.id = ANY(:ids)"
            ).bindparams(ids),
            text(
                f"DELETE FROM {self.new.qualified} n WHERE n.id = ANY(:ids) "
                f"AND NOT EXISTS (SELECT FROM {self.old.qualified} o WHERE {same})"
            ).bindparams(ids),
            text(f"DELETE FROM {self._changes} WHERE seq = ANY(:seqs)").bindparams(
                bindparam("seqs", [seq for seq, _ in changes], type_=ARRAY(BigInteger))
            ),
        ]

    def locks(self) -> list[str]:
        """Return the statements that lock out all readers and writers, or fail after half a second.

        A reader first reads the row of the collection, and holds a lock on that table until its transaction ends. So no
        reader can be between reading the dimension and searching. That table is locked first, in the order of readers.
        """
        return [
            f"SET LOCAL lock_timeout = {LOCK_TIMEOUT:d}",
            f"LOCK TABLE {self._in_schema('collections')} IN ACCESS EXCLUSIVE MODE",
            f"LOCK TABLE ONLY {self._in_schema('documents')}, ONLY {self.old.qualified} IN ACCESS EXCLUSIVE MODE",
        ]

    def swap(self, spec: Spec | None, language: str, keys: Sequence[str] = ()) -> list[str]:
        """Return the statements that replace the old table by the new one; they do not read any row."""
        final = replace(self.new, suffix="")
        indexes = zip(self.new.indexes(spec, language, keys), final.indexes(spec, language, keys), strict=True)
        rename = f"ALTER TABLE {final.qualified} RENAME CONSTRAINT"
        return [
            f"DROP TABLE {self.old.qualified}, {self._changes}",
            f"ALTER TABLE {self.new.qualified} RENAME TO {quote(final.name)}",
            f"{rename} {quote(self.new.key)} TO {quote(final.key)}",
            f"{rename} {quote(f'ck_{self.new.name}_dimension')} TO {quote(f'ck_{final.name}_dimension')}",
            # An index on a key may have been added since they were created.
            *(f"ALTER INDEX IF EXISTS {self._in_schema(new.name)} RENAME TO {quote(old.name)}" for new, old in indexes),
            final.attach(),
            f"ALTER TABLE {final.qualified} DROP CONSTRAINT {self._check}",
        ]

    @property
    def _check(self) -> str:
        return quote(f"ck_{self.new.name}_collection")

    def _own(self, prefix: str = "") -> str:
        return f"{prefix}collection_id = {self.old.collection_id:d}"

    def _in_schema(self, name: str) -> str:
        return qualified(name, self.old.schema)


def obstacles(old: Partition) -> TextClause:
    """Select kind and name of objects on the old partition that the new one would not have."""
    return text("""
        SELECT 'policy', polname::text FROM pg_catalog.pg_policy WHERE polrelid = CAST(:old AS regclass)
        UNION ALL SELECT 'trigger', tgname::text FROM pg_catalog.pg_trigger
        WHERE tgrelid = CAST(:old AS regclass) AND NOT tgisinternal AND tgparentid = 0
        UNION ALL SELECT 'index', c.relname::text FROM pg_catalog.pg_index i
        JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = CAST(:old AS regclass)
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhrelid = i.indexrelid)
    """).bindparams(old=old.qualified)


def carry_over(old: Partition, new: Partition) -> TextClause:
    """Select the statements that give the new table the owner, privileges and row-level security of the old one."""
    return text("""
        SELECT format('GRANT %s ON %s TO %s%s', a.privilege_type, CAST(:new AS regclass),
            coalesce(quote_ident(r.rolname), 'PUBLIC'), CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' END)
        FROM pg_catalog.pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a
        LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
        WHERE c.oid = CAST(:old AS regclass) AND a.grantee <> c.relowner
        UNION ALL SELECT format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', CAST(:new AS regclass))
        FROM pg_catalog.pg_class c WHERE c.oid = CAST(:old AS regclass) AND c.relrowsecurity
        UNION ALL SELECT format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', CAST(:new AS regclass))
        FROM pg_catalog.pg_class c WHERE c.oid = CAST(:old AS regclass) AND c.relforcerowsecurity
        UNION ALL SELECT format('ALTER TABLE %s OWNER TO %I', CAST(:new AS regclass), r.rolname)
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
        JOIN pg_catalog.pg_class n ON n.oid = CAST(:new AS regclass) AND n.relowner <> c.relowner
        WHERE c.oid = CAST(:old AS regclass)
    """).bindparams(old=old.qualified, new=new.qualified)


def _texts(name: str, values: Sequence[str]) -> Any:
    return bindparam(name, list(values), type_=ARRAY(Text))
