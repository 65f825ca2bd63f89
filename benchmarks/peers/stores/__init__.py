"""One module per peer, with its `STORE`. It runs in the environment of the peer."""
