"""What the registry knows, in one SQLite file with a table for each kind of thing."""
