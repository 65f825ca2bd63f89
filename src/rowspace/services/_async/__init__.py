"""The services; the sync twins are generated from the async ones by tools/unasync.py."""
