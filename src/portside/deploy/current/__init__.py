"""What is there now."""
