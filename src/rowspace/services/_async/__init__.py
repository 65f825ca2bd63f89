"""The async source of the services."""
