"""The life of an endpoint: brought up, shifted, scaled, rolled back, removed."""
