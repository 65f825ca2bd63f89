"""Migrations that a project can depend on: ("rowspace", "0001_initial")."""
