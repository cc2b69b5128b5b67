"""Whose code answers, and how it is called; `find` tells the order."""
