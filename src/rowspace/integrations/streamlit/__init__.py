"""Streamlit (extra `streamlit`): a connection for your own apps, and the application of `rowspace ui`."""

from __future__ import annotations

from rowspace._optional import require

require("streamlit", extra="streamlit")

from rowspace.integrations.streamlit.connection import RowspaceConnection  # noqa: E402 -- after the check

__all__ = ["RowspaceConnection"]
