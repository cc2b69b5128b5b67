"""What a caller of an endpoint needs."""
