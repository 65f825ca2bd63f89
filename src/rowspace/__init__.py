"""Rowspace: the data access layer for PostgreSQL + pgvector."""
