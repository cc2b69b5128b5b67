"""A run of a command that changes something: alone, and on record."""
