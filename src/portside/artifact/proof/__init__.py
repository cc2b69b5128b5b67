"""Whether smaller forms answer as the original does: `judge` decides, `proof` has the values."""
