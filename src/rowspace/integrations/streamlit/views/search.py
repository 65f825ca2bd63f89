"""The page Search: search a collection by meaning, by keyword, by both, or for variety, with a filter."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import streamlit as st

from rowspace.integrations.streamlit import state
from rowspace.integrations.streamlit.cards import cards, quoted
from rowspace.integrations.streamlit.filters import Facet, filter_of, label_of, still
from rowspace.integrations.streamlit.searching import MODES, Mode, modes_for
from rowspace.services import CollectionInfo, SearchRequest

__all__ = ["page"]

_HELP = "Meaning: by distance. Keywords: words, a “phrase”, or, -without. Hybrid: both. Variety: diverse hits (MMR)."


def page() -> None:
    """Show the search."""
    collection = state.chosen()
    count = state.size(collection.name)
    if count == 0:
        st.info("This collection is empty. Load a file on the page **Load**.", icon=":material/inbox:")
        return
    reason = state.why_not(collection)
    text = st.text_input("Search", placeholder=f"Search {count:,} documents", key="search_text")
    mode, k, likeness = _options(modes_for(reason))
    if reason is not None:
        st.caption(f":material/info: {quoted(reason)}")
    chosen = _filters(collection)
    if text.strip():
        marked = mode in {"text", "hybrid"}
        _show(
            collection,
            SearchRequest(text=text.strip(), k=k, mode=mode, filter=chosen, highlight=marked, lambda_mult=likeness),
        )


def _options(modes: list[Mode]) -> tuple[Mode, int, float | None]:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        mode = st.segmented_control(
            "By",
            modes,
            default=modes[0],
            format_func=MODES.__getitem__,
            required=True,
            help=_HELP,
            key=f"search_mode_{len(modes)}",
        )
        k = int(st.number_input("Hits", 1, 100, 10, key="search_k", width=130))
        variety = st.slider("Variety", 0.0, 1.0, 0.5, 0.1, key="search_variety", width=220) if mode == "mmr" else None
    return mode, k, None if variety is None else 1 - variety


def _filters(collection: CollectionInfo) -> dict[str, Any] | None:
    facets = state.facets(collection.name)
    if not facets:
        return None
    with st.expander("Filter", icon=":material/filter_alt:"):
        columns = st.columns(min(3, len(facets)))
        chosen = {
            facet.key: _widget(facet, collection.name, columns[i % len(columns)]) for i, facet in enumerate(facets)
        }
    return filter_of(facets, chosen)


def _widget(facet: Facet, collection: str, column: Any) -> Any:
    key, label = f"filter:{collection}:{facet.key}", quoted(facet.key)
    if key in st.session_state:
        st.session_state[key] = still(facet, st.session_state[key])
    if facet.kind == "range":
        if key not in st.session_state:
            st.session_state[key] = (facet.low, facet.high)
        return column.slider(label, facet.low, facet.high, key=key)
    counts = dict(facet.values)

    def option(value: Any) -> str:
        return label_of(value, counts[value], exact=facet.exact)

    return column.multiselect(label, [*counts], format_func=option, key=key)


def _show(collection: CollectionInfo, request: SearchRequest) -> None:
    began = perf_counter()
    with st.spinner("Searching"):
        found = state.hits(collection.name, request)
    took = 1_000 * (perf_counter() - began)
    under = " with this filter" if request.filter else ""
    if not found:
        st.info(f"No document matches{under}.", icon=":material/search_off:")
        return
    st.caption(f"{len(found)} hits{under} in {took:,.0f} ms")
    st.html(cards(found))


if __name__ == "__main__":
    page()
