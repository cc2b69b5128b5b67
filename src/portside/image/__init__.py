"""Container images without a daemon; so far only their names."""
