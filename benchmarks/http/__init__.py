"""Searches over HTTP, beside a bare FastAPI endpoint on asyncpg: `python -m benchmarks.http --help`."""
