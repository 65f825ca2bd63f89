"""A one-page help desk on `st.connection`. It finds the answer to a question, even if the words differ.

    pip install 'rowspace[streamlit,embedded,local]'
    streamlit run examples/streamlit/app.py --server.address=127.0.0.1 --browser.gatherUsageStats=false

The first run starts PostgreSQL, creates the tables and stores the answers. To use another database, set
ROWSPACE_DATABASE_URL.
"""

from __future__ import annotations

import streamlit as st

from rowspace.errors import RowspaceError
from rowspace.integrations.streamlit import RowspaceConnection
from rowspace.migrations import upgrade

ANSWERS = [
    ("login", "To set a new password, follow “Forgotten?” below the sign-in form; the link is valid for one hour."),
    ("login", "Two-factor codes come from an authenticator app. Lost it? Use one of your recovery codes."),
    ("money", "Invoices are sent on the first of the month. Find the old ones under Account, Billing."),
    ("money", "You can get your money back within 30 days. Write to us with the number of the order."),
    ("parcel", "A parcel takes two to four working days. The tracking number is in the confirmation."),
    ("parcel", "If the box arrives damaged, take a photo before you open it and send it to us."),
    ("parcel", "您可以在十四天内免费退货，退货标签在包裹里。"),  # noqa: RUF001 -- Chinese commas
]


@st.cache_resource(show_spinner="Preparing the answers ...")
def prepare(_connection: RowspaceConnection) -> None:
    """Create the tables and store the answers. Answers that are already stored stay unchanged."""
    upgrade(_connection.database.engine)
    documents = _connection.documents
    documents.create_collection("help-desk", exist_ok=True)
    documents.add("help-desk", [{"content": text, "metadata": {"topic": topic}} for topic, text in ANSWERS])


def main() -> None:
    """Show the page."""
    st.set_page_config(page_title="Help desk")
    st.title("How can we help?")
    connection = st.connection("rowspace", type=RowspaceConnection)
    prepare(connection)
    question = st.text_input("Your question", placeholder="I cannot sign in")
    topic = st.pills("Topic", sorted({topic for topic, _ in ANSWERS}))
    if not question.strip():
        return
    where = {"topic": topic} if topic else None
    for hit in connection.search("help-desk", question, k=3, filter=where):
        with st.container(border=True):
            st.text(hit.content)
            st.progress(max(0.0, min(1.0, hit.similarity or 0.0)), f"similarity {hit.similarity:.2f}")


if __name__ == "__main__":
    try:
        main()
    except RowspaceError as error:
        st.error(str(error))
