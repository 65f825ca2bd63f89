"""The page Index: the indexes of a collection, and the recall of its searches."""

from __future__ import annotations

from typing import Any

import streamlit as st

from rowspace import BuildProgress, CollectionRepository, IndexAdvisor, IndexBuilder, Tuning
from rowspace.errors import ConfigurationError
from rowspace.integrations.streamlit import state
from rowspace.integrations.streamlit.cards import quoted
from rowspace.integrations.streamlit.charts import curve_chart
from rowspace.services import CollectionInfo
from rowspace.tuning import TuningPoint, tuning_of

__all__ = ["page"]

_MEMORY = ("", "256MB", "512MB", "1GB", "2GB", "4GB", "8GB")


def page() -> None:
    """Show the indexes and the recall."""
    collection = state.chosen()
    st.caption(_summary(collection))
    st.subheader("Indexes", anchor=False)
    builder = IndexBuilder(state.connection().database.engine, _entity(collection.name))
    found = builder.status()
    st.dataframe([_row(one) for one in found if not one.name.startswith("pk_")], hide_index=True)
    unfit = [one for one in found if one.wanted and one.state in {"missing", "invalid"}]
    if unfit:
        _offer_build(builder)
    st.subheader("Recall", anchor=False)
    _recall(collection, usable=any(one.method in {"hnsw", "ivfflat"} and one.state == "valid" for one in found))


def _summary(collection: CollectionInfo) -> str:
    count = state.size(collection.name)
    embedder = f", embedder {quoted(collection.embedder)}" if collection.embedder else ""
    return f"{count:,} documents, {collection.dimension:,} dimensions, distance {collection.distance}{embedder}"


def _entity(name: str) -> Any:
    with state.connection().begin() as session:
        return CollectionRepository(session).get(name)


def _row(status: Any) -> dict[str, Any]:
    return {
        "index": status.name,
        "method": status.method,
        "state": status.state,
        "MB": round(status.size / 2**20, 1),
        "rows": status.rows,
        "scans": status.scans,
        "remark": "; ".join(status.differences),
    }


def _offer_build(builder: IndexBuilder) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        memory = st.selectbox(
            "Memory for the build", _MEMORY, format_func=lambda size: size or "the server's setting", width=260
        )
        pressed = st.button("Build missing indexes", type="primary", key="index_build")
    st.caption(
        "If the vectors do not fit into this memory, the build is several times slower. Writes continue meanwhile."
    )
    if pressed:
        _build(builder, memory or None)


def _build(builder: IndexBuilder, memory: str | None) -> None:
    bar = st.progress(0.0, "Waiting for the server")

    def show(progress: BuildProgress) -> None:
        bar.progress((progress.percent or 0) / 100, f"{progress.index}: {progress.phase}, {progress.seconds:.0f} s")

    try:
        builder.create(maintenance_work_mem=memory, progress=show)
    finally:
        bar.empty()
    st.rerun()


def _recall(collection: CollectionInfo, *, usable: bool) -> None:
    tuning = tuning_of(collection.index)
    if tuning is None:
        st.caption("The recall, the share of the true nearest documents that searches find, has not been measured yet.")
    else:
        _curve(tuning)
    if not usable:
        st.caption("Without a vector index, searches are exact: the recall is 1.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        target = st.slider("Target recall", 0.5, 1.0, 0.98, 0.01, key="index_target", width=260)
        queries = int(st.number_input("Number of searches", 5, 500, 50, key="index_queries", width=180))
        measure = st.button("Measure", key="index_measure")
    if measure:
        _measure(collection.name, target, queries)


def _measure(name: str, target: float, queries: int) -> None:
    bar = st.progress(0.0, "Running exact searches as the reference")

    def show(point: TuningPoint) -> None:
        text = f"{point.setting}: recall {point.recall:.3f} in {point.milliseconds:.2f} ms"
        bar.progress(min(1.0, point.recall), text)

    try:
        with state.connection().begin() as session:
            IndexAdvisor(session, CollectionRepository(session).get(name)).tune(target, queries=queries, progress=show)
    except ConfigurationError as error:
        # PostgreSQL scans a small table without its index. That is not an error.
        st.info(quoted(str(error)), icon=":material/info:")
        return
    finally:
        bar.empty()
    st.rerun()


def _curve(tuning: Tuning) -> None:
    st.markdown(
        f"Searches use `{tuning.name} = {tuning.chosen.setting}`: a recall of **{tuning.chosen.recall:.3f}** in "
        f"**{tuning.chosen.milliseconds:.2f} ms**, measured with {tuning.queries} searches for {tuning.k} hits."
    )
    if tuning.advice:
        st.warning(quoted(tuning.advice), icon=":material/warning:")
    if len(tuning.points) > 1:
        st.altair_chart(curve_chart(tuning), key="index_curve")


if __name__ == "__main__":
    page()
