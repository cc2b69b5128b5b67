"""What a project wants in an account, as values with their final names (pure)."""
