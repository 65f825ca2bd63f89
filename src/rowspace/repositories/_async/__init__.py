"""The async source of the repositories."""
