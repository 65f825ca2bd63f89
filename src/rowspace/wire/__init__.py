"""The wire: vectors in binary on each driver, and COPY. Nothing here knows models, filters or sessions."""

from rowspace.wire.instrument import instrument

__all__ = ["instrument"]
