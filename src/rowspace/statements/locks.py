"""Exclusive locks on tables, acquired so that other transactions do not have to wait long."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["LOCK_TIMEOUT", "patiently"]

#: The milliseconds to wait for a lock, during which others queue behind it. Below PostgreSQL's `deadlock_timeout`, so
#: that in a deadlock, the statement with this limit gives way.
LOCK_TIMEOUT = 500
#: The number of attempts, with half a second for others between them: two minutes in total.
TRIES = 120


def patiently(statements: Sequence[str], table: str) -> str:
    """Return one statement that runs others, and retries if they do not get their locks.

    While a statement such as DROP TABLE waits for an exclusive lock, all later ones wait behind it. This statement
    waits for half a second at a time, lets others through, and tries again. After two minutes, it fails with the
    SQLSTATE of `lock_timeout`, 55P03, and names the table. The locks are held until the transaction ends.
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
                'transactions that have read or written {name} stayed open for two minutes';
        END"""
    return "DO '{}'".format(body.replace("'", "''"))
