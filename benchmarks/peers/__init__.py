"""Rowspace compared with similar libraries, each in its own virtual environment, on the same server and data."""
