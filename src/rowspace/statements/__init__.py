"""Pure statements: plain values in, SQLAlchemy statements out. No session, no connection, no await."""
