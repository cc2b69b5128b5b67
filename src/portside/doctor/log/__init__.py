"""What instances printed, and why they failed."""
