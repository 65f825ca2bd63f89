"""The page Map: a collection in two dimensions, with a query and its hits."""

from __future__ import annotations

import streamlit as st

from rowspace.integrations.streamlit import state
from rowspace.integrations.streamlit.cards import quoted
from rowspace.integrations.streamlit.charts import map_chart
from rowspace.services import CollectionInfo

__all__ = ["page"]

_SAMPLE = 2_000


def page() -> None:
    """Show the map."""
    collection = state.chosen()
    reason = state.why_not(collection)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input(
            "Query", placeholder="Where does a question land?", key="map_text", disabled=reason is not None
        )
        k = int(st.number_input("Hits", 1, 50, 10, key="map_k", width=130))
        color = _color(collection)
    if reason is not None:
        st.caption(f":material/info: {quoted(reason)}")
    plane, points = state.map_of(collection.name, _SAMPLE)
    if plane is None:
        st.info("A map needs at least two documents.", icon=":material/inbox:")
        return
    marks = [] if reason is not None else state.marks(collection.name, text.strip(), k, _SAMPLE)
    st.altair_chart(map_chart(points, marks, color), key="map_chart")
    shown = "all" if len(points) == state.size(collection.name) else "a sample of"
    st.caption(
        f"Shows {shown} {len(points):,} documents by their first two principal components. Point at one to read it. "
        "The cross is the query, the numbers are its hits. Documents that are near in all dimensions can be far in two."
    )


def _color(collection: CollectionInfo) -> str | None:
    keys = [facet.key for facet in state.facets(collection.name) if facet.kind == "choice"]
    if not keys:
        return None
    return (
        st.selectbox(
            "Color by", ["", *keys], format_func=lambda key: key or "nothing", key=f"map_color:{collection.name}"
        )
        or None
    )


if __name__ == "__main__":
    page()
