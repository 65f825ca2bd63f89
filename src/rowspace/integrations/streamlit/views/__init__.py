"""The pages of the application, each a script that Streamlit runs."""
