"""How the server ran a search: the EXPLAIN statement, and a `SearchPlan` with advice from its JSON.

Source: PostgreSQL manual, "EXPLAIN" and "Using EXPLAIN"; pgvector's README, "Performance".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ClauseElement, Executable, Text, text
from sqlalchemy.ext.compiler import compiles

from rowspace.diagnosis import SearchPlan
from rowspace.distance import Distance
from rowspace.indexes import Quantize, distance_suffix
from rowspace.settings import DEFAULT_EF_SEARCH
from rowspace.statements.catalog import IndexFact
from rowspace.statements.few import COMPARED, FEW
from rowspace.statements.identifiers import quote
from rowspace.statements.indexing import VECTOR_METHODS

__all__ = ["SETTINGS", "Explain", "Searched", "are_few", "read_plan"]

#: The settings of the session that affect a search.
SETTINGS = text("""
    SELECT name, setting FROM pg_settings
     WHERE name LIKE 'hnsw.%' OR name LIKE 'ivfflat.%'
        OR name IN ('enable_indexscan', 'enable_seqscan', 'random_page_cost', 'work_mem')
     ORDER BY name
""").columns(name=Text, setting=Text)

#: The number of rows below which reading all of them is as fast as using an index.
_SMALL = 2_000

_SCANS = ("Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Heap Scan", "Tid Scan")


class Explain(Executable, ClauseElement):
    """EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) of a statement: runs the statement and returns one JSON value."""

    inherit_cache = False

    def __init__(self, statement: Any) -> None:
        self.statement = statement


@compiles(Explain)
def _compile_explain(element: Explain, compiler: Any, **kw: Any) -> str:
    # `asfrom`, because the result does not have the columns of the statement.
    return f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {compiler.process(element.statement, asfrom=True, **kw)}"


@dataclass(frozen=True, slots=True)
class Searched:
    """The search, for the advice.

    Args:
        name: the name of the subject in messages.
        distance: the distance that the search orders by.
        quantize: the expected quantization of the index.
        k: number of rows.
        exact: whether the index was not to be used.
        filtered: whether there were conditions.
        column: the name of the vector column; None if there is only one.
        remedy: how to create a missing index.
    """

    name: str
    distance: Distance
    quantize: Quantize | None
    k: int
    exact: bool
    filtered: bool
    column: str | None
    remedy: str


def read_plan(found: Any, searched: Searched, facts: Sequence[IndexFact], settings: Mapping[str, str]) -> SearchPlan:
    """Return the plan from the output of EXPLAIN, with the advice that follows from it."""
    whole = _whole(found)
    root = whole["Plan"]
    scans = _scans_of(root, {fact.table for fact in facts})
    vector = {fact.name for fact in facts if fact.method in VECTOR_METHODS}
    ordered = next((node for node in _nodes(root) if node.get("Index Name") in vector), None)
    filtered = sum(_times(node, "Rows Removed by Filter") for node in scans)
    plan = SearchPlan(
        index=None if ordered is None else ordered["Index Name"],
        scan=(ordered or scans[0])["Node Type"],
        milliseconds=whole["Planning Time"] + whole["Execution Time"],
        rows_returned=int(root["Actual Rows"]),
        rows_scanned=int(sum(_times(node, "Actual Rows") for node in scans) + filtered),
        rows_filtered=int(filtered),
        buffers=root.get("Shared Hit Blocks", 0) + root.get("Shared Read Blocks", 0),
        settings=settings,
        plan=root,
    )
    return _advised(plan, searched, facts)


def are_few(found: Any) -> bool:
    """Return from the output of EXPLAIN for `nearest_of_few` whether its rows are those of the search."""
    root = _whole(found)["Plan"]
    compared = _compared(root)
    return compared is not None and root["Actual Rows"] > 0 and _times(compared, "Actual Rows") <= FEW


def _compared(root: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return next((node for node in _nodes(root) if node.get("Subplan Name") == f"CTE {COMPARED}"), None)


def _whole(found: Any) -> dict[str, Any]:
    whole: dict[str, Any] = (json.loads(found) if isinstance(found, str) else found)[0]
    return whole


def _advised(plan: SearchPlan, searched: Searched, facts: Sequence[IndexFact]) -> SearchPlan:
    used = next((fact for fact in facts if fact.name == plan.index), None)
    advice = _of_no_index(plan, searched, facts) if used is None else _of_use(plan, searched, used)
    return replace(plan, advice=tuple(advice))


def _of_no_index(plan: SearchPlan, searched: Searched, facts: Sequence[IndexFact]) -> Iterator[str]:
    if searched.exact:
        yield "The search is exact, as requested: every row that matches was compared."
        return
    if _compared(plan.plan) is not None:
        yield "The conditions match few rows. All of them were compared, which is exact and needs no vector index."
        return
    every = [fact for fact in facts if fact.method in VECTOR_METHODS]
    vector = [fact for fact in every if searched.column is None or _is_on(fact, searched.column)]
    if not vector:
        name = f"{searched.name}.{searched.column}" if every else searched.name
        yield f"No index: {name} has no vector index, every row was compared. {searched.remedy}"
        return
    fitting = [fact for fact in vector if _serves(fact, searched)]
    for fact in vector:
        if not fact.is_valid:
            yield f"The index {fact.name} is INVALID, because its build did not finish. Run IndexBuilder.repair()."
        elif fact not in fitting:
            yield f"{_mismatch(fact, searched)}. A search only uses an index with its own distance and type."
    if any(fact.is_valid for fact in fitting):
        yield from _of_choice(plan, searched, [fact for fact in fitting if fact.is_valid])


def _of_choice(plan: SearchPlan, searched: Searched, fitting: Sequence[IndexFact]) -> Iterator[str]:
    name = fitting[0].name
    if plan.settings.get("enable_indexscan") == "off":
        yield "enable_indexscan is off, so no index can order the rows."
    elif fitting[0].partial:
        yield f"The index {name} is partial: it only serves searches that include its condition."
    elif plan.scan != "Seq Scan" and not searched.filtered:
        yield f"{plan.scan} although there are no conditions: the statistics are missing or outdated. Run ANALYZE."
    elif plan.scan != "Seq Scan":
        yield f"{plan.scan} because the conditions match few rows: comparing them all is cheaper than the index {name}."
    elif plan.rows_scanned < _SMALL:
        yield f"Sequential scan because the table is small ({plan.rows_scanned} rows): this is fast, and exact."
    else:
        cost = plan.settings.get("random_page_cost", "unknown")
        on_disks = "" if cost in {"1", "1.1"} else f"; on SSDs set random_page_cost to 1.1 (it is {cost})"
        yield f"Sequential scan although {name} fits: the planner estimates a higher cost. Run ANALYZE{on_disks}."


def _of_use(plan: SearchPlan, searched: Searched, used: IndexFact) -> Iterator[str]:
    limit = int(plan.settings.get("hnsw.ef_search", DEFAULT_EF_SEARCH))
    if used.method == "hnsw" and searched.k > limit:
        yield (
            f"k is above ef_search ({searched.k} > {limit}), so the scan has to continue beyond its candidates. "
            f"Set ef_search to {min(searched.k, 1_000)} or more."
        )
    if plan.rows_filtered > 20 * max(plan.rows_returned, 1) and plan.rows_filtered > 200:
        share = 100 * plan.rows_filtered / plan.rows_scanned
        yield (
            f"The conditions removed {share:.0f} % of the {plan.rows_scanned} rows that the index found. To avoid "
            "reading them, create an index on the compared values (IndexBuilder.create_key_index for metadata), a "
            "partial index with the same condition, or a separate collection."
        )


def _is_on(fact: IndexFact, column: str) -> bool:
    indexed = fact.definition.partition(" USING ")[2].partition(" WHERE ")[0]
    return re.search(rf'(?<![\w"]){re.escape(quote(column))}(?![\w"])', indexed) is not None


def _serves(fact: IndexFact, searched: Searched) -> bool:
    held, _, suffix = fact.opclass.partition("_")
    if searched.quantize == "bit":
        return fact.opclass == "bit_hamming_ops"
    by_kind = held == "halfvec" if searched.quantize == "halfvec" else not _is_quantized(fact)
    return suffix == distance_suffix(searched.distance) and by_kind


def _is_quantized(fact: IndexFact) -> bool:
    cast = fact.shape.cast
    return cast is not None and cast[0] in {"halfvec", "bit"}


def _mismatch(fact: IndexFact, searched: Searched) -> str:
    suffix = fact.opclass.partition("_")[2].removesuffix("_ops")
    names = {"ip": "inner_product"}
    if _is_quantized(fact) or searched.quantize:
        return f"The index {fact.name} has {fact.opclass}, but the search expects {searched.quantize or 'full numbers'}"
    return f"The index {fact.name} is on {names.get(suffix, suffix)} but the query is {searched.distance.value}"


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def _scans_of(root: Mapping[str, Any], tables: set[str]) -> Sequence[Mapping[str, Any]]:
    """Return the plan nodes that read the table or its partitions, below any sorts, joins and limits.

    If no node identifies the table, since it has no index at all, this is the first scan; without any scan, the root.
    """
    scans = [node for node in _nodes(root) if node["Node Type"] in _SCANS]
    return [node for node in scans if node.get("Relation Name") in tables] or scans[:1] or [root]


def _times(node: Mapping[str, Any], counted: str) -> float:
    # The server reports the average per loop.
    return float(node.get(counted, 0) * node.get("Actual Loops", 1))
