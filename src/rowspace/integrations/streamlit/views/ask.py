"""The page Ask: ask a collection a question, and see the sources of the answer."""

from __future__ import annotations

from typing import cast

import streamlit as st

from rowspace.integrations.rag import Answer
from rowspace.integrations.streamlit import state
from rowspace.integrations.streamlit.cards import answer_html, quoted, sources_html
from rowspace.integrations.streamlit.options import current
from rowspace.services import CollectionInfo

__all__ = ["page"]

# How many turns the page shows, and the model sees.
_TURNS = 20


def page() -> None:
    """Show the conversation."""
    collection = state.chosen()
    reason = state.why_not(collection)
    if reason is not None:
        st.info(f"Questions require a search by meaning. {quoted(reason)}", icon=":material/info:")
        return
    conversation: list[Answer] = st.session_state.setdefault(f"conversation:{collection.name}", [])
    if not conversation:
        st.caption(_introduction(collection))
    for answer in conversation:
        _show(answer)
    question = st.chat_input("Ask a question", key="ask_question", max_chars=10_000)
    if question and question.strip():
        conversation.append(_ask(collection, question.strip(), conversation))
        del conversation[:-_TURNS]
        st.rerun()


def _introduction(collection: CollectionInfo) -> str:
    model = current().model
    extracted = "with sentences quoted from the best matches"
    how = f"by the model {quoted(model)}" if model else extracted
    return f"Questions are answered from the {state.size(collection.name):,} documents, {how}. Sources are numbered."


def _ask(collection: CollectionInfo, question: str, before: list[Answer]) -> Answer:
    turns = [turn for one in before for turn in (("user", one.question), ("assistant", one.text))]
    with st.chat_message("user"):
        st.text(question)
    with st.chat_message("assistant"), st.spinner("Reading the documents"):
        place, text = st.empty(), ""
        for event in state.answers().stream(question, collection=collection.name, history=turns):
            if event.token is not None:
                text += event.token
                place.html(answer_html(text))
    # The last event has the complete answer.
    return cast("Answer", event.answer)


def _show(answer: Answer) -> None:
    with st.chat_message("user"):
        st.text(answer.question)
    with st.chat_message("assistant"):
        st.html(answer_html(answer.text, answer.sources))
        if answer.searched_for:
            st.caption(f"Searched for: {quoted(answer.searched_for)}")
        if answer.notice:
            st.caption(quoted(answer.notice))
        if answer.sources:
            with st.expander(f"{len(answer.sources)} sources", icon=":material/library_books:"):
                st.html(sources_html(answer.sources))


if __name__ == "__main__":
    page()
