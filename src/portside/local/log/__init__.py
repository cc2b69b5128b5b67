"""What instances print, kept and read."""
