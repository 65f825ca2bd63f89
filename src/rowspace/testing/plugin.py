"""The pytest plugin that the distribution registers."""
