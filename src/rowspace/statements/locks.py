"""Exclusive locks on tables, acquired so that nobody else has to wait long."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["LOCK_TIMEOUT", "patiently"]

#: Milliseconds for which everybody may queue behind who waits for a lock on a table. Below PostgreSQL's
#: `deadlock_timeout`, so that in a deadlock it is the one with this limit that gives way.
LOCK_TIMEOUT = 500
#: How often locks are tried for, with half a second for the others in between: two minutes.
TRIES = 120


def patiently(statements: Sequence[str], table: str) -> str:
    """Return one statement that runs others, and retries if they do not get their locks.

    While a statement waits for an exclusive lock, such as DROP TABLE does, everybody who comes later waits behind it.
    This statement waits for half a second at a time, lets others through, and tries again, for two minutes; then it
    fails with the SQLSTATE of `lock_timeout`, 55P03, and names the table. The locks are held until the transaction
    ends.
    """
    name = table.replace("'", "''")
    body = f"""
        DECLARE before text := current_setting('lock_timeout');
        BEGIN
            FOR attempt IN 1..{TRIES:d} LOOP
                BEGIN
                    PERFORM set_config('lock_timeout', '{LOCK_TIMEOUT:d}', true);
                    {" ".join(f"{statement};" for statement in statements)}
                    PERFORM set_config('lock_timeout', before, true);
                    RETURN;
                EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
                    PERFORM pg_sleep(0.5);
                END;
            END LOOP;
            RAISE EXCEPTION USING ERRCODE = 'lock_not_available', MESSAGE =
                'for two minutes transactions that have read or written {name} stayed open';
        END"""
    return "DO '{}'".format(body.replace("'", "''"))
