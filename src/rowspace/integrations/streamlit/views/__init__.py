"""The pages of the application. Each is a script that Streamlit runs."""
