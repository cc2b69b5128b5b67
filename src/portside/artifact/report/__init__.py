"""What was proven, for people and programs: `report` makes it, the others show it."""
