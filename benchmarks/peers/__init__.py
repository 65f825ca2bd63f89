"""Rowspace beside its peers, each in a virtual environment of its own, on one server with the same rows and index."""
