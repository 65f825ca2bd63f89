"""An embedder for the tests. It has no model, and returns the same vectors everywhere."""

from rowspace.testing import HashingEmbedder


def hashing():
    """Return an embedder with the dimension of the book's field."""
    return HashingEmbedder(512)
