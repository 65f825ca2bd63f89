"""Hits as HTML, and sentences for Markdown. Text from documents is escaped. No Streamlit, no database."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from rowspace.integrations.rag import Source
from rowspace.services import SearchHit

__all__ = ["answer_html", "cards", "chips", "excerpt", "quoted", "share_of", "sources_html"]

_EXCERPT = 420
_WHOLE = 20_000
_CHIPS = 8

# These colors work on light and dark pages. Text has the page's own color.
_STYLE = """<style>
.rs-hit {border: 1px solid rgba(128,128,128,.28); border-radius: .6rem; padding: .75rem 1rem; margin: 0 0 .7rem;
  overflow-wrap: anywhere; line-height: 1.5}
.rs-head {display: flex; flex-wrap: wrap; gap: .25rem .75rem; align-items: baseline; font-size: .85rem}
.rs-rank {font-weight: 700; font-variant-numeric: tabular-nums}
.rs-id {font-family: monospace; opacity: .85}
.rs-measure {margin-left: auto; opacity: .75; font-variant-numeric: tabular-nums}
.rs-bar {height: .35rem; border-radius: .2rem; background: rgba(128,128,128,.2); margin: .4rem 0 .55rem}
.rs-bar > div {height: 100%; border-radius: .2rem; background: #2f80c2}
.rs-text {white-space: pre-line}
.rs-text mark, .rs-mark {background: rgba(255,196,0,.42); color: inherit; border-radius: .2rem; padding: 0 .1rem}
.rs-chips {display: flex; flex-wrap: wrap; gap: .3rem; margin-top: .5rem; font-size: .78rem}
.rs-chip {border-radius: .8rem; padding: .05rem .55rem; background: rgba(128,128,128,.15)}
.rs-chip b {font-weight: 600; opacity: .7; margin-right: .25rem}
.rs-number {background: rgba(47,128,194,.22); border-radius: .3rem; padding: 0 .25rem; margin-left: .1rem}
.rs-hit details {margin-top: .45rem; font-size: .85rem}
.rs-hit summary {cursor: pointer; opacity: .75}
.rs-hit pre {white-space: pre-wrap; overflow-wrap: anywhere; font-size: .78rem; margin: .4rem 0 0}
</style>"""


def cards(hits: Sequence[SearchHit]) -> str:
    """Return hits as HTML, best first. Each has a bar, its text, its metadata, and the whole document to expand."""
    top = max((share_of(hit) for hit in hits), default=0.0)
    # An inner product and a text rank have no fixed scale, so their bars are relative to the best hit.
    scale = top if top > 1 or any(hit.similarity is None for hit in hits) else 1.0
    return _STYLE + "".join(_card(hit, share_of(hit) / scale if scale > 0 else 0.0) for hit in hits)


def share_of(hit: SearchHit) -> float:
    """Return the value of a hit's bar: its similarity or its text rank, at least 0."""
    value = hit.similarity if hit.similarity is not None else hit.text_rank
    return max(0.0, value or 0.0)


def _card(hit: SearchHit, share: float) -> str:
    text = hit.highlight or escape(excerpt(hit.content))
    return (
        '<div class="rs-hit"><div class="rs-head">'
        f'<span class="rs-rank">{hit.rank}</span><span class="rs-id">{escape(hit.id)}</span>'
        f'<span class="rs-measure">{_measures(hit)}</span></div>'
        f'<div class="rs-bar"><div style="width:{100 * min(share, 1):.1f}%"></div></div>'
        f'<div class="rs-text">{text}</div>{chips(hit.metadata)}{_whole(hit)}</div>'
    )


def _measures(hit: SearchHit) -> str:
    parts = {"similarity": hit.similarity, "distance": hit.distance, "keyword rank": hit.text_rank}
    found = [f"{name} {value:.3f}" for name, value in parts.items() if value is not None]
    # Fused scores differ only in small digits.
    return " · ".join([*found, f"score {hit.score:.5f}"] if hit.score is not None else found)


def _whole(hit: SearchHit) -> str:
    more = " …" if len(hit.content) > _WHOLE else ""
    metadata = json.dumps(hit.metadata, ensure_ascii=False, indent=2)
    return (
        f"<details><summary>whole document</summary><pre>{escape(hit.content[:_WHOLE])}{more}</pre>"
        f"<pre>{escape(metadata[:_WHOLE])}</pre></details>"
    )


def chips(metadata: Mapping[str, Any]) -> str:
    """Return the first metadata keys as HTML, or an empty string if there are none."""
    shown = [(key, _short(value)) for key, value in metadata.items() if value is not None and value != ""][:_CHIPS]
    if not shown:
        return ""
    inner = "".join(f'<span class="rs-chip"><b>{escape(key)}</b>{escape(value)}</span>' for key, value in shown)
    return f'<div class="rs-chips">{inner}</div>'


def _short(value: Any) -> str:
    return excerpt(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), 80)


def excerpt(text: str, longest: int = _EXCERPT) -> str:
    """Return the beginning of a text, cut at a space if possible."""
    if len(text) <= longest:
        return text
    cut = text[:longest]
    space = cut.rfind(" ", longest - 60)
    return (cut[:space] if space > 0 else cut) + " …"


def answer_html(text: str, sources: Sequence[Source] = ()) -> str:
    """Return an answer as HTML, with its source numbers highlighted and the cited sources listed below."""
    marked = re.sub(r"\[(\d{1,3})\]", r'<sup class="rs-number">\1</sup>', escape(text))
    cited = (f'<span class="rs-chip"><b>{one.number}</b>{escape(one.id)}</span>' for one in sources if one.cited)
    below = "".join(cited)
    return f'{_STYLE}<div class="rs-text">{marked}</div>' + (f'<div class="rs-chips">{below}</div>' if below else "")


def sources_html(sources: Sequence[Source]) -> str:
    """Return the sources of an answer as HTML, cited ones first, otherwise in their order."""
    ordered = sorted(sources, key=lambda source: not source.cited)
    return _STYLE + "".join(_source(source) for source in ordered)


def _source(source: Source) -> str:
    parts = {"similarity": source.similarity, "distance": source.distance}
    measures = " · ".join(f"{name} {value:.3f}" for name, value in parts.items() if value is not None)
    uncited = "" if source.cited else " · not cited"
    return (
        '<div class="rs-hit"><div class="rs-head">'
        f'<span class="rs-rank">{source.number}</span><span class="rs-id">{escape(source.id)}</span>'
        f'<span class="rs-measure">{measures}{uncited}</span></div>'
        f'<div class="rs-text">{escape(excerpt(source.content))}</div>{chips(source.metadata)}</div>'
    )


def quoted(sentence: str) -> str:
    """Return a sentence with Markdown escaped."""
    # Streamlit still replaces icon names after that. A zero-width character prevents it.
    sentence = re.sub(r":(?=material[/_]|streamlit:)", ":\N{WORD JOINER}", sentence)
    return re.sub(r"([\\`*_\[\]$<>~#:|!+-])", r"\\\1", sentence)
