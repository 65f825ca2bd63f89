"""The entry script of the application, for `rowspace ui` or `streamlit run`."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from rowspace.integrations.streamlit.state import CHOSEN, NEXT, connection, explained

__all__ = ["main"]

# Not named "pages": Streamlit would serve that folder by itself, bypassing this script.
_PAGES = Path(__file__).parent / "views"

# Limit the line length on wide screens, and reduce the top margin.
_STYLE = """<style>
.block-container {padding-top: 3.6rem; max-width: 75rem}
[data-testid="stBottomBlockContainer"] {max-width: 75rem; padding-bottom: 2rem}
</style>"""


def main() -> None:
    """Show the requested page, below a selector for the collection."""
    st.set_page_config(page_title="Rowspace", page_icon=str(_PAGES.parent / "icon.png"), layout="wide")
    st.html(_STYLE)
    page = st.navigation(
        [
            st.Page(_PAGES / "search.py", title="Search", icon=":material/search:", default=True),
            st.Page(_PAGES / "ask.py", title="Ask", icon=":material/forum:"),
            st.Page(_PAGES / "map.py", title="Map", icon=":material/scatter_plot:"),
            st.Page(_PAGES / "load.py", title="Load", icon=":material/upload_file:"),
            st.Page(_PAGES / "index.py", title="Index", icon=":material/speed:", url_path="index-and-recall"),
        ],
        position="top",
    )
    with explained():
        _choose_collection()
        page.run()


def _choose_collection() -> None:
    names = [one.name for one in connection().collections(ttl=0)]
    if not names:
        st.session_state.pop(CHOSEN, None)
        return
    if (loaded := st.session_state.pop(NEXT, None)) in names:
        st.session_state[CHOSEN] = loaded
    if st.session_state.get(CHOSEN) not in names:
        wanted = st.query_params.get(CHOSEN)
        st.session_state[CHOSEN] = wanted if wanted in names else names[0]
    st.selectbox("Collection", names, key=CHOSEN)


if __name__ == "__main__":
    main()
