"""One module a peer, each with its `STORE`; it runs in that peer's environment."""
