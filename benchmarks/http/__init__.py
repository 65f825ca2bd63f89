"""Searches over HTTP, compared with a bare FastAPI endpoint on asyncpg: `python -m benchmarks.http --help`."""
