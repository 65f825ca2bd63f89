"""Ask a collection a question, and see the sources of the answer."""

from __future__ import annotations

from rowspace.integrations.streamlit import state

__all__ = ["page"]


def page() -> None:
    """Show the conversation."""
    state.chosen()


if __name__ == "__main__":
    page()
