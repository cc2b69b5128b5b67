"""The difference between the two, as steps (pure)."""
