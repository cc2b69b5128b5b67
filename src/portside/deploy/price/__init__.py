"""What an endpoint costs (pure)."""
