"""The page Load: load a CSV, JSON Lines or text file into a collection."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

import streamlit as st

from rowspace.integrations._ingest.documents import Fields, is_vector
from rowspace.integrations._progress import plural
from rowspace.integrations.streamlit import state
from rowspace.integrations.streamlit.cards import excerpt, quoted
from rowspace.integrations.streamlit.loading import Target, load
from rowspace.integrations.streamlit.uploads import SUFFIXES, Upload, guessed
from rowspace.results import LoadReport

__all__ = ["page"]

_NEW = "a new collection"


def page() -> None:
    """Show the upload."""
    file = st.file_uploader("A CSV, JSON Lines or text file, in UTF-8", type=[*SUFFIXES], key="load_file")
    if file is None:
        st.caption(
            "Each row of a table, or each passage of a text, becomes a document. A document whose id exists is updated."
        )
        return
    upload = Upload(file.name, file, file.size)
    rows = upload.first()
    fields, longest = Fields(), 1_000
    if upload.is_text:
        longest = int(st.number_input("Maximum characters per passage", 100, 20_000, 1_000, 100, key="load_longest"))
    elif rows:
        fields = _fields(rows, file.file_id)
    else:
        st.info("The file has no rows.", icon=":material/inbox:")
        return
    target = _target(upload.name)
    if st.button("Load", type="primary", disabled=not target.name, key="load_button"):
        _load(upload, target, fields, longest)


def _fields(rows: list[dict[str, Any]], file: str) -> Fields:
    names = list(dict.fromkeys(name for row in rows for name in row))
    guess = guessed(names)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        content = st.selectbox("Field with the text", names, names.index(guess), key=f"load_content:{file}")
        ids = ["", *(name for name in names if name != content)]
        id_ = st.selectbox(
            "Field with the id", ids, ids.index("id") if "id" in ids else 0, format_func=_or_none, key=f"load_id:{file}"
        )
        vectors = ["", *(name for name in names if is_vector(rows[0].get(name)))]
        vector = ""
        if len(vectors) > 1:
            vector = st.selectbox("Field with the vector", vectors, format_func=_or_none, key=f"load_vector:{file}")
    st.caption("All other fields become metadata.")
    st.dataframe([{name: _cell(row.get(name)) for name in names} for row in rows[:5]], hide_index=True)
    return Fields(content, id_ or None, vector or None, detect_types=True, hints=False)


def _or_none(name: str) -> str:
    return name or "none"


def _cell(value: Any) -> str:
    return "" if value is None else excerpt(str(value), 200)


def _target(file: str) -> Target:
    names = [one.name for one in state.connection().collections(ttl=0)]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox("Into", [_NEW, *names], key="load_into") if names else _NEW
        if chosen != _NEW:
            return Target(str(chosen), new=False)
        name = st.text_input("Name of the new collection", PurePath(file).stem, max_chars=200, key="load_name")
    return Target(name.strip(), new=True)


def _load(upload: Upload, target: Target, fields: Fields, longest: int) -> None:
    bar = st.progress(0.0, "Reading")

    def show(report: LoadReport) -> None:
        bar.progress(upload.share, f"{report.received:,} documents embedded and stored")

    try:
        report = load(state.connection(), target, upload.documents(fields, longest), show)
    finally:
        bar.empty()
    state.forget()
    st.session_state[state.NEXT] = target.name
    st.success(
        f"{plural(report.received, 'document')} from {quoted(upload.name)} into {quoted(target.name)}: "
        f"{report.inserted:,} new, {report.updated:,} updated, {report.unchanged:,} unchanged, "
        f"{report.duplicates:,} duplicates.",
        icon=":material/check:",
    )


if __name__ == "__main__":
    page()
