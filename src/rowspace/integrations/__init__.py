"""Adapters to other people's libraries: one module a library, each with an extra of its own, none imported here."""
