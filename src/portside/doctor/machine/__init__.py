"""The machine that the commands run on."""
