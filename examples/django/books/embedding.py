"""An embedder for the tests: no model, the same vectors everywhere."""

from rowspace.testing import HashingEmbedder


def hashing():
    """Return an embedder with the dimension of the book's field."""
    return HashingEmbedder(512)
